import type { Bus } from '@agentgate/bus';
import { checkpointSubject, type EventName, eventSource, eventType } from '@agentgate/contracts';
import { createChain, encodeBatch, openBatch, sealedText } from '@agentgate/evidence';
import type { Ground } from '@agentgate/testkit';
import { eventOf, sessionOf } from './fixtures.ts';

type Producer = Parameters<Ground['key']>[0];
const timeoutMs = 5_000;
const root = Buffer.alloc(32).toString('base64');

/** Writes EVIDENCE as audit does, by the keys of those whose events they are. */
export const createEvidenceWriter = (ground: Ground, log: Bus) => {
  const sealed = (name: EventName, data: object, who: object, by: Producer) => {
    const item = createChain({ source: eventSource(by, 'i1'), epoch: 'e1' }).next({
      id: eventOf(writer.index + 1),
      type: eventType(name),
      time: new Date().toISOString(),
      subject: 'x',
      tenant: 'default',
      ...who,
      data: data as Record<string, unknown>,
    });
    const opened = openBatch(encodeBatch([item], ground.key(by)), ground.trust);
    const first = opened.ok ? opened.entries[0] : undefined;
    if (!first) throw new Error('the event was not sealed');
    return sealedText(first.text, first.seal);
  };
  const writer = {
    /** Of the last entry that the stream took. */
    index: -1,
    /** One entry, so often. */
    write: async (
      name: EventName,
      data: object,
      who: object,
      { by = 'ingress' as const, times = 1 }: { by?: Producer; times?: number } = {},
    ) => {
      const text = sealed(name, data, who, by);
      const index = writer.index + 1;
      for (let i = 0; i < times; i++)
        await log.publishDurable(`evidence.v1.default.${eventType(name)}`, text, {
          headers: { 'Ag-Index': String(index) },
          timeoutMs,
        });
      writer.index = index;
      return eventOf(index);
    },
    refused: (agent: string, { code = 'NO_GRANT', ...more }: { code?: string; times?: number } = {}) =>
      writer.write(
        'call.decided',
        {
          call: 'call_0000000001',
          tool: 'files/read',
          arguments: {},
          decision: { action: 'deny', code, reason: 'x', obligations: {} },
          policy: { digest: 'a'.repeat(64), revision: 'r1' },
        },
        { agent, session: sessionOf(1) },
        more,
      ),
    checkpoint: async () => {
      const note = `test.local/log\n${writer.index + 1}\n${root}\n\n— test.local/log ${root}\n`;
      await log.publishDurable(checkpointSubject, note, { timeoutMs });
    },
  };
  return writer;
};
