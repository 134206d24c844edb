import { setTimeout as sleep } from 'node:timers/promises';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { LoggerProvider, type ReadableLogRecord } from '@opentelemetry/sdk-logs';
import { consume, type Delivered } from './consume.ts';
import { readOptions } from './options.ts';

const { to, ...options } = readOptions('URL of an OTLP/HTTP receiver, as http://127.0.0.1:4318/v1/logs');
const batch = 500;
const retryMs = 2_000;

// The SDK's own processors swallow what a receiver refuses. This one only gathers, and the exporter says what became of it.
const gathered: ReadableLogRecord[] = [];
const provider = new LoggerProvider({
  resource: resourceFromAttributes({ 'service.name': 'agentgate', 'agentgate.log': options.vkey.split('+')[0] ?? '' }),
  processors: [
    { onEmit: (record) => void gathered.push(record), forceFlush: async () => {}, shutdown: async () => {} },
  ],
});
const logger = provider.getLogger('agentgate.evidence');
const exporter = new OTLPLogExporter({ url: to });

const alarming = /incident\.opened|incident\.failed|evidence\.anomaly|irrevocable/;
const emit = ({ index, event }: Delivered): void =>
  logger.emit({
    timestamp: new Date(event.time),
    severityNumber: alarming.test(event.type) ? 17 : 9,
    severityText: alarming.test(event.type) ? 'ERROR' : 'INFO',
    eventName: event.type,
    body: JSON.stringify(event.data),
    attributes: {
      // What the event is known by: a receiver that gets it twice can tell.
      'agentgate.index': index,
      'event.id': event.id,
      'event.source': event.source,
      'agentgate.subject': event.subject,
      ...(event.tenant !== undefined && { 'agentgate.tenant': event.tenant }),
      ...(event.agent !== undefined && { 'gen_ai.agent.name': event.agent }),
      ...(event.session !== undefined && { 'session.id': event.session }),
    },
  });

const send = (records: ReadableLogRecord[]): Promise<Error | undefined> =>
  new Promise((resolve) => {
    exporter.export(records, ({ code, error }) => resolve(code === 0 ? undefined : (error ?? new Error('not taken'))));
  });

await consume({
  ...options,
  deliver: async (entries) => {
    for (let at = 0; at < entries.length; at += batch) {
      for (const entry of entries.slice(at, at + batch)) emit(entry);
      const records = gathered.splice(0);
      for (let error = await send(records); error !== undefined; error = await send(records)) {
        console.error(`${to}: ${error.message}; trying again`);
        await sleep(retryMs, undefined, { signal: options.signal });
      }
    }
  },
});
await provider.shutdown();
