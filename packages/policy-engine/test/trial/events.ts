import { type Decision, type EventData, type EventName, eventType } from '@agentgate/contracts';
import { createHistory, type RecordedCall, type TrialEvent } from '../../src/trial/recorded-calls.ts';

let n = 0;
export const session = 'ses_0000000001';
export const event = <N extends EventName>(
  name: N,
  data: EventData<N>,
  more: Partial<TrialEvent> = {},
): TrialEvent => ({
  id: `evt_${String(++n).padStart(10, '0')}`,
  type: eventType(name),
  time: '2026-11-24T12:00:00.000Z',
  tenant: 'default',
  agent: 'demo',
  session,
  data,
  ...more,
});
export const opened = (purpose?: string) =>
  event('session.opened', {
    session,
    expires_at: '2026-11-25T12:00:00.000Z',
    ...(purpose !== undefined && { purpose }),
  });
export const allowed = (rule = 'a'): Decision => ({
  action: 'allow',
  code: 'OK',
  reason: `allowed by grant ${rule}`,
  rule,
  obligations: {},
});
export const decided = (data: Partial<EventData<'call.decided'>> = {}, more: Partial<TrialEvent> = {}): TrialEvent =>
  event(
    'call.decided',
    {
      call: `call_${String(++n).padStart(10, '0')}`,
      tool: 'fs/write',
      arguments: { path: '/srv/a' },
      decision: allowed(),
      policy: { revision: 'before', digest: '0'.repeat(64) },
      ...data,
    },
    more,
  );
/** The calls that these events tell of. */
export const callsOf = (...events: TrialEvent[]): RecordedCall[] => {
  const history = createHistory();
  return events.flatMap((each) => history.take(each) ?? []);
};
