import type { StreamSpec } from '@agentgate/contracts';

/** Where the server's stream differs from what we rely on: `<field> is <echoed>, not <wanted>`, or undefined. */
export const streamDifference = (spec: StreamSpec, echoed: Record<string, unknown>): string | undefined => {
  const wanted: Record<string, unknown> = {
    name: spec.name,
    subjects: [...spec.subjects].sort(),
    retention: spec.retention,
    discard: spec.discard,
    storage: 'file',
    max_msgs: -1,
    max_age: 0,
    max_bytes: spec.max_bytes,
    max_msgs_per_subject: spec.max_msgs_per_subject,
    duplicate_window: spec.duplicate_window,
    deny_delete: spec.deny_delete,
    deny_purge: spec.deny_purge,
    allow_direct: spec.allow_direct,
    allow_rollup_hdrs: spec.allow_rollup_hdrs,
    allow_msg_ttl: spec.allow_msg_ttl ?? false,
    persist_mode: spec.persist_mode ?? 'default',
    no_ack: false,
  };
  /** What the server leaves out of its answer. */
  const absent: Record<string, unknown> = {
    persist_mode: 'default',
    no_ack: false,
    allow_direct: false,
    allow_rollup_hdrs: false,
    deny_delete: false,
    deny_purge: false,
    allow_msg_ttl: false,
    max_age: 0,
  };
  for (const [field, want] of Object.entries(wanted)) {
    const raw = echoed[field] ?? absent[field];
    const got = Array.isArray(raw) ? [...raw].sort() : raw;
    if (JSON.stringify(got) !== JSON.stringify(want))
      return `${field} is ${JSON.stringify(got)}, not ${JSON.stringify(want)}`;
  }
  return undefined;
};
