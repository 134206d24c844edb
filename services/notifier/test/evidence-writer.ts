import type { Bus } from '@agentgate/bus';
import { type AlertEvent, eventSource, eventType, evidenceSubject, type ServiceName } from '@agentgate/contracts';
import { createChain, EVENT_SEAL_DOMAIN, type SigningKey, sealBatch, sealedText } from '@agentgate/evidence';

/** Puts events into EVIDENCE as audit does, sealed with whatever key a test says. */
export const createEvidenceWriter = (audit: Bus, producer: { service: ServiceName; key: SigningKey }) => {
  const chain = createChain({ source: eventSource(producer.service, 'test'), epoch: `e${Date.now()}` });
  let made = 0;
  return async (
    name: AlertEvent | 'call.decided',
    data: Record<string, unknown>,
    by: SigningKey = producer.key,
  ): Promise<string> => {
    const id = `evt_${producer.service}_${Date.now()}_${++made}`;
    const type = eventType(name);
    const { text } = chain.next({
      id,
      type,
      subject: 'a test',
      time: new Date().toISOString(),
      tenant: 'default',
      data,
    });
    const lines = [chain.source, chain.epoch];
    const [seal] = sealBatch({ domain: EVENT_SEAL_DOMAIN, lines, leaves: [text], key: by });
    if (!seal) throw new Error('nothing was sealed');
    await audit.publishDurable(evidenceSubject('default', type), sealedText(text, seal), { id, timeoutMs: 5_000 });
    return id;
  };
};
