import {
  type ChainItem,
  createChain,
  createKeyRing,
  EVENT_SEAL_DOMAIN,
  generateSigningKey,
  leafHash,
  type SigningKey,
  sealBatch,
  sealedText,
} from '@agentgate/evidence';

export const key = generateSigningKey();
export const keys = createKeyRing([{ signer: 'agentgate/ingress/', publicKey: key.publicKey }]);

export interface Draft {
  id: string;
  name?: string;
  agent?: string;
  session?: string;
  data: Record<string, unknown>;
}

/** Entries as audit makes them, of one producer. */
export const sealedEntries = (
  drafts: Draft[],
  { by = key, instance = 'i1' }: { by?: SigningKey; instance?: string } = {},
): string[] => {
  const chain = createChain({ source: `agentgate/ingress/${instance}`, epoch: 'e1' });
  const items: ChainItem[] = drafts.map(({ name = 'call.decided', id, agent, session, data }) =>
    chain.next({
      id,
      type: `agentgate.${name}.v1`,
      subject: 'a subject',
      time: '2026-01-01T00:00:00.000Z',
      agent,
      session,
      data,
    }),
  );
  const seals = sealBatch({
    domain: EVENT_SEAL_DOMAIN,
    lines: [chain.source, chain.epoch],
    leaves: items.map((i) => i.text),
    key: by,
  });
  return items.flatMap(({ text }, i) => {
    const seal = seals[i];
    return seal ? [sealedText(text, seal)] : [];
  });
};

export const headersOf = (text: string, index: number): Record<string, string> => ({
  'Ag-Index': String(index),
  'Ag-Leaf-Hash': leafHash(text).toString('hex'),
});
export const messageOf = (text: string, index: number, headers = headersOf(text, index)) => ({
  data: new TextEncoder().encode(text),
  header: (name: string): string | undefined => headers[name],
});
