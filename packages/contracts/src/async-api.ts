import { z } from 'zod';
import { agentVerbs } from './agent.ts';
import { type EventName, eventData, eventType } from './events.ts';
import { digest, eventId, name, sessionId } from './names.ts';
import { operatorVerbs } from './operator-verbs.ts';
import { checkpointSubject, evidenceSubject } from './streams.ts';

// The public protocol for programs, made from the schemas that every message is parsed by. What only services say to each other is left out.

type Json = Record<string, unknown>;

const jsonSchema = (schema: z.ZodType): Json => z.toJSONSchema(schema, { io: 'input' });

/** An entry of the evidence log (PROTOCOL.md, "An entry"). */
const entryOf = (event: EventName) =>
  z.strictObject({
    event: z.strictObject({
      specversion: z.literal('1.0'),
      id: eventId,
      source: z.string(),
      type: z.literal(eventType(event)),
      subject: z.string(),
      time: z.string(),
      datacontenttype: z.literal('application/json'),
      tenant: name.optional(),
      agent: name.optional(),
      session: sessionId.optional(),
      producerepoch: z.string(),
      producerseq: z.int().min(1),
      producerprev: z.union([digest, z.literal('')]),
      data: eventData[event],
    }),
    seal: z.strictObject({
      keyid: z.string(),
      root: digest,
      index: z.int().min(0),
      size: z.int().min(1),
      path: z.array(z.string()),
      sig: z.string(),
    }),
  });

/** JSON Schemas (2020-12) of everything that agents, operators and auditors say and hear: `agent.call.ask`, `ops.kill.answer`, `evidence.call.decided`. */
export const jsonSchemas = (): Record<string, Json> => {
  const schemas: Record<string, Json> = {};
  for (const [who, verbs] of Object.entries({ agent: agentVerbs, ops: operatorVerbs }))
    for (const [word, { ask, answer }] of Object.entries(verbs)) {
      schemas[`${who}.${word}.ask`] = jsonSchema(ask);
      schemas[`${who}.${word}.answer`] = jsonSchema(answer);
    }
  for (const event of Object.keys(eventData) as EventName[]) schemas[`evidence.${event}`] = jsonSchema(entryOf(event));
  return schemas;
};

const ref = (path: string) => ({ $ref: `#/${path}` });

/** A question on `agent.{name}.<word>` or `ops.{name}.<word>`, and its answer in the asker's inbox. */
const requestParts = (who: 'agent' | 'ops', word: string): { channels: Json; operations: Json } => {
  const id = `${who}.${word}`;
  return {
    channels: {
      [id]: {
        address: `${who}.{name}.${word}`,
        parameters: { name: { description: 'The name in the credentials; NATS enforces it.' } },
        messages: { ask: ref(`components/messages/${id}.ask`) },
      },
      [`${id}.reply`]: { address: null, messages: { answer: ref(`components/messages/${id}.answer`) } },
    },
    operations: {
      [id]: {
        action: 'receive',
        channel: ref(`channels/${id}`),
        messages: [ref(`channels/${id}/messages/ask`)],
        reply: { channel: ref(`channels/${id}.reply`), messages: [ref(`channels/${id}.reply/messages/answer`)] },
      },
    },
  };
};

/** The protocol as an AsyncAPI 3.0 document. */
export const asyncApi = (): Json => {
  const schemas = jsonSchemas();
  const requests = [
    ...Object.keys(agentVerbs).map((word) => requestParts('agent', word)),
    ...Object.keys(operatorVerbs).map((word) => requestParts('ops', word)),
  ];
  const events = Object.keys(schemas).filter((id) => id.startsWith('evidence.'));
  const evidence = {
    address: evidenceSubject('{tenant}', '{type}'),
    parameters: {
      tenant: { description: '_ where an event is about no tenant.' },
      type: { description: "The event's." },
    },
    description: 'Stream EVIDENCE. Headers: Ag-Index, Ag-Leaf-Hash (RFC 6962, hexadecimal).',
    messages: Object.fromEntries(events.map((id) => [id, ref(`components/messages/${id}`)])),
  };
  return {
    asyncapi: '3.0.0',
    info: { title: 'AgentGate', version: '1' },
    defaultContentType: 'application/json',
    channels: {
      ...Object.assign({}, ...requests.map(({ channels }) => channels)),
      evidence,
      checkpoint: {
        address: checkpointSubject,
        messages: { note: { contentType: 'text/plain', payload: { type: 'string' } } },
      },
    },
    operations: {
      ...Object.assign({}, ...requests.map(({ operations }) => operations)),
      evidence: { action: 'send', channel: ref('channels/evidence') },
      checkpoint: { action: 'send', channel: ref('channels/checkpoint') },
    },
    components: {
      messages: Object.fromEntries(
        Object.keys(schemas).map((id) => [id, { name: id, payload: ref(`components/schemas/${id}`) }]),
      ),
      schemas,
    },
  };
};
