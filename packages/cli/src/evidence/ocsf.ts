import type { Excerpt } from '@agentgate/evidence';
import { eventOf, proofOf } from './excerpt.ts';
import { rowOf } from './index-row.ts';

// OCSF 1.8, class API Activity (6003): https://schema.ocsf.io/1.8.0/classes/api_activity

const version = '1.8.0';
const classUid = 6003;
const activity = { other: 99 } as const;
const status = { success: 1, failure: 2, other: 99 } as const;
const severity = { informational: 1, medium: 3, high: 4 } as const;

const good = new Set(['ok', 'allow']);
const bad = new Set(['tool_error', 'aborted', 'timeout', 'deny']);
const alarming = new Set([
  'incident.opened',
  'incident.failed',
  'evidence.anomaly',
  'lease.irrevocable',
  'tool.quarantined',
]);

const statusOf = (outcome: string | null) => {
  if (outcome === null) return {};
  if (good.has(outcome)) return { status_id: status.success, status: 'Success' };
  if (bad.has(outcome)) return { status_id: status.failure, status: 'Failure' };
  return { status_id: status.other, status: outcome };
};

const severityOf = (type: string, outcome: string | null) => {
  if (alarming.has(type)) return { severity_id: severity.high, severity: 'High' };
  if (outcome === 'deny' || type.startsWith('kill.')) return { severity_id: severity.medium, severity: 'Medium' };
  return { severity_id: severity.informational, severity: 'Informational' };
};

const ocsfOf = (excerpt: Excerpt, each: Excerpt['entries'][number]): object => {
  const event = eventOf(each.entry);
  const { id, time, type, tenant, agent, session, call, tool, outcome, code } = rowOf(event);
  const [, service = 'agentgate', instance = ''] = event.source.split('/');
  return {
    category_uid: 6,
    category_name: 'Application Activity',
    class_uid: classUid,
    class_name: 'API Activity',
    activity_id: activity.other,
    activity_name: type,
    type_uid: classUid * 100 + activity.other,
    type_name: 'API Activity: Other',
    time,
    ...severityOf(type, outcome),
    ...statusOf(outcome),
    ...(code !== null && { status_code: code }),
    metadata: {
      version,
      product: { name: 'AgentGate', vendor_name: 'AgentGate', feature: { name: service, uid: instance } },
      uid: id,
      event_code: event.type,
      log_name: excerpt.log.origin,
      original_time: event.time,
      sequence: each.index,
      ...(tenant !== null && { tenant_uid: tenant }),
      ...(session !== null && { correlation_uid: session }),
    },
    // The agent; where there is none, the service that acted by itself or for a person.
    actor: {
      ...(agent === null
        ? { invoked_by: `agentgate ${service}` }
        : { user: { name: agent, uid: `${tenant ?? 'default'}/${agent}`, type_id: 99, type: 'Agent' } }),
      ...(session !== null && { session: { uid: session } }),
    },
    api: {
      operation: tool ?? type,
      service: { name: tool === null ? service : (tool.split('/')[0] ?? tool) },
      ...(call !== null && { request: { uid: call } }),
    },
    src_endpoint: { name: agent ?? service, svc_name: service },
    ...(tool !== null && { resources: [{ name: tool, type: 'tool' }] }),
    raw_data: each.entry,
    unmapped: { data: event.data, evidence: { index: each.index, proof: proofOf(excerpt, each) } },
  };
};

/** One API Activity an entry; `raw_data` is the entry as the log hashes it, `unmapped.evidence.proof` its C2SP tlog-proof. */
export const ocsfEventsOf = (excerpt: Excerpt): object[] => excerpt.entries.map((each) => ocsfOf(excerpt, each));
