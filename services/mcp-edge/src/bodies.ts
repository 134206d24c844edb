/** Bodies of requests, as they come: whoever makes text of their bytes first has lost what was no UTF-8. */
export interface Bodies {
  /** Rejects TooLarge, or TooMany where this agent has begun so many that another finds no room. */
  read(user: string, body: AsyncIterable<Uint8Array> | null): Promise<Uint8Array>;
}

export interface BodiesOptions {
  /** Of one. */
  maxBytes: number;
  /** Of all together that one agent has begun and not ended: who ends none takes no room of others. */
  maxHeldBytes: number;
}

export class TooLarge extends Error {
  override readonly name = 'TooLarge';
}

export class TooMany extends Error {
  override readonly name = 'TooMany';
}

export const createBodies = ({ maxBytes, maxHeldBytes }: BodiesOptions): Bodies => {
  const held = new Map<string, number>();
  const hold = (user: string, bytes: number): number => {
    const all = (held.get(user) ?? 0) + bytes;
    if (all === 0) held.delete(user);
    else held.set(user, all);
    return all;
  };
  return {
    read: async (user, body) => {
      const chunks: Uint8Array[] = [];
      let size = 0;
      try {
        for await (const chunk of body ?? []) {
          size += chunk.byteLength;
          const all = hold(user, chunk.byteLength);
          if (size > maxBytes) throw new TooLarge(`body: at most ${maxBytes} bytes are allowed`);
          if (all > maxHeldBytes) throw new TooMany('this agent has begun too many requests that it did not end');
          chunks.push(chunk);
        }
        return Buffer.concat(chunks);
      } finally {
        hold(user, -size);
      }
    },
  };
};
