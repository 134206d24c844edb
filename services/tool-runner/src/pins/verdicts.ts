import {
  AgentGateError,
  type PinningSettings,
  type ToolPin,
  type ToolShown,
  type ToolState,
  type ToolVerdictAnswer,
  type ToolVerdictAsk,
} from '@agentgate/contracts';
import { maxTries, type PinStore } from './pins.ts';
import type { PinEvent } from './sighting.ts';

// What operators see of the pins, and what they decide about them.

export interface VerdictsOptions {
  store: PinStore;
  settings: PinningSettings;
  /** Digest of the definition that its server lists now. */
  listed(tool: string): string | undefined;
  /** Resolves once the event is durable. */
  record(event: PinEvent): Promise<unknown>;
  now: () => number;
}

type Verdict = 'accepted' | 'rejected';
export interface Verdicts {
  list(): { v: 1; tools: ToolState[]; more?: number };
  /** Throws UNKNOWN_TOOL. */
  show(tool: string): Promise<ToolShown>;
  decide(by: string, verdict: Verdict, ask: ToolVerdictAsk): Promise<ToolVerdictAnswer>;
}

/** As many as an answer holds with room to spare. */
const maxListed = 2_000;

export const createVerdicts = ({ store, settings, listed, record, now }: VerdictsOptions): Verdicts => {
  const stateOf = (pin: ToolPin): ToolState => {
    const { tool, accepted, offered } = pin;
    const newest = offered ?? accepted;
    const present = listed(tool);
    const isGood = accepted && (present === undefined || present === accepted.schema_digest);
    return {
      tool,
      state: offered?.state === 'waiting' ? 'quarantined' : isGood ? 'pinned' : 'rejected',
      listed: present !== undefined,
      ...(accepted && { accepted: accepted.schema_digest }),
      ...(offered && { offered: offered.schema_digest }),
      ...(offered?.state === 'waiting' && { why: offered.why }),
      flags: newest?.flags ?? [],
      at: newest?.at ?? new Date(0).toISOString(),
      ...(newest?.by !== undefined && { by: newest.by }),
    };
  };

  const list: Verdicts['list'] = () => {
    const states = Array.from(store.all(), stateOf).sort(
      (a, b) => Number(b.state === 'quarantined') - Number(a.state === 'quarantined') || (a.tool < b.tool ? -1 : 1),
    );
    const more = states.length - maxListed;
    return { v: 1, tools: states.slice(0, maxListed), ...(more > 0 && { more }) };
  };

  const show: Verdicts['show'] = async (tool) => {
    const pin = (await store.read(tool))?.pin;
    if (!pin) throw new AgentGateError('UNKNOWN_TOOL', `tool ${tool} is not known`);
    const { accepted, offered } = pin;
    return {
      v: 1,
      state: stateOf(pin),
      ...(accepted && { accepted: accepted.definition }),
      ...(offered && { offered: offered.definition }),
    };
  };

  const decide: Verdicts['decide'] = async (by, verdict, { tool, schema_digest, reason }) => {
    const required = Object.hasOwn(settings.pins, tool) ? settings.pins[tool] : undefined;
    let isRecorded = false;
    for (let tries = 0; tries < maxTries; tries++) {
      const held = await store.read(tool);
      if (!held?.pin) return { v: 1, status: 'not_found' };
      const { accepted, offered } = held.pin;
      // What waits may have changed since it was shown: only what was seen is decided on.
      if (!offered || offered.schema_digest !== schema_digest) return { v: 1, status: 'not_offered' };
      if (verdict === 'accepted' && required !== undefined && required !== schema_digest)
        return { v: 1, status: 'pinned_by_file' };
      if (verdict === 'rejected' && offered.state === 'rejected') return { v: 1, status: 'rejected' };
      const { flags } = offered;
      const said = {
        tool,
        schema_digest,
        by,
        ...(accepted && { was: accepted.schema_digest }),
        ...(reason !== undefined && { reason }),
      };
      // Evidence first: nothing is accepted that nobody can read of.
      if (!isRecorded)
        await record(
          verdict === 'accepted'
            ? { name: 'tool.accepted', subject: tool, data: { ...said, flags } }
            : { name: 'tool.rejected', subject: tool, data: said },
        );
      isRecorded = true;
      const pin = verdict === 'accepted' ? acceptedNow(held.pin, by, now()) : rejectedNow(held.pin, by);
      if (await store.write(pin, held)) return { v: 1, status: verdict };
    }
    throw new AgentGateError('RUNNER_UNAVAILABLE', `the pin of ${tool} is being changed by others`);
  };

  return { list, show, decide };
};

const acceptedNow = ({ tool, offered }: ToolPin, by: string, at: number): ToolPin => {
  if (!offered) throw new Error('nothing is offered');
  const { schema_digest, definition, flags } = offered;
  return { v: 1, tool, accepted: { schema_digest, definition, flags, at: new Date(at).toISOString(), by } };
};

/** What was accepted before stays so, unless it is the very definition that is rejected. */
const rejectedNow = ({ tool, accepted, offered }: ToolPin, by: string): ToolPin => {
  if (!offered) throw new Error('nothing is offered');
  const stays = accepted && accepted.schema_digest !== offered.schema_digest;
  return { v: 1, tool, ...(stays && { accepted }), offered: { ...offered, state: 'rejected', by } };
};
