/** A request of a client of the revisions before 2026-07-28, whose session tells its ids from those of another with the same token. */
interface EarlierRequest {
  user: string;
  mcpSession: string;
  id: unknown;
}

/** Such clients cancel by a request of its own, which names the first one's id; later ones end the first one itself. */
export interface Cancellations {
  /** Hands on a signal that aborts as `signal` does, and when the client cancels. */
  around<T>(request: EarlierRequest, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  cancel(request: EarlierRequest): void;
}

const keyOf = ({ user, mcpSession, id }: EarlierRequest) => JSON.stringify([user, mcpSession, id]);

export const createCancellations = (): Cancellations => {
  const running = new Map<string, AbortController>();
  return {
    around: async (request, signal, work) => {
      const key = keyOf(request);
      const stop = new AbortController();
      running.set(key, stop);
      try {
        return await work(AbortSignal.any([signal, stop.signal]));
      } finally {
        if (running.get(key) === stop) running.delete(key);
      }
    },
    cancel: (request) => running.get(keyOf(request))?.abort(),
  };
};
