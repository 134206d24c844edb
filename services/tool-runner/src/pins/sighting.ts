import type {
  EventDraft,
  PinningSettings,
  QuarantineReason,
  ToolDefinition,
  ToolFlag,
  ToolPin,
} from '@agentgate/contracts';

// What becomes of a tool's pin when its server lists it. Nothing here waits or writes.

export type PinEvent = EventDraft<
  'tool.registered' | 'tool.changed' | 'tool.quarantined' | 'tool.accepted' | 'tool.rejected'
>;
export interface PinChange {
  pin: ToolPin;
  events: PinEvent[];
}
export interface Sighting {
  schema_digest: string;
  definition: ToolDefinition;
  /** Asked for only where the definition is new. */
  flags(): ToolFlag[];
  at: number;
}

export const byFirstUse = 'first use';
export const byFile = 'agentgate.yaml';
/** A server that changes a tool again and again while it waits for an operator fills neither the bucket nor the evidence. */
const reofferMs = 5_000;

/** The pin as it is to be written, or undefined where this definition changes nothing. */
export const sighted = (
  pin: ToolPin | undefined,
  seen: Sighting,
  { quarantine, pins }: PinningSettings,
): PinChange | undefined => {
  const tool = seen.definition.name;
  const { schema_digest } = seen;
  const required = Object.hasOwn(pins, tool) ? pins[tool] : undefined;
  const isRequired = required === schema_digest;
  const accepted = pin?.accepted?.schema_digest;
  if (accepted === schema_digest && (required === undefined || isRequired)) return undefined;
  if (isRequired) return acceptedByFile(pin, seen);
  if (pin?.offered?.schema_digest === schema_digest) return undefined;
  if (pin?.offered?.state === 'waiting' && seen.at - Date.parse(pin.offered.at) < reofferMs) return undefined;
  const flags = seen.flags();
  const why = required !== undefined ? 'not_the_pin' : pin ? 'changed' : firstLook(flags, quarantine);
  if (why === undefined) return trusted(seen, flags);
  return waiting(pin, seen, { flags, why });
};

/** Whether somebody has to look at a tool that nobody has seen before. */
const firstLook = (
  flags: readonly ToolFlag[],
  quarantine: PinningSettings['quarantine'],
): QuarantineReason | undefined => {
  if (flags.some(({ kind }) => quarantine.includes(kind))) return 'flagged';
  return quarantine.includes('new') ? 'new' : undefined;
};

const recordOf = ({ schema_digest, definition, at }: Sighting, flags: ToolFlag[]) => ({
  schema_digest,
  definition,
  flags,
  at: new Date(at).toISOString(),
});
const draft = <E extends PinEvent>(name: E['name'], data: E['data']): PinEvent =>
  ({ name, subject: data.tool, data }) as PinEvent;

const trusted = (seen: Sighting, flags: ToolFlag[]): PinChange => {
  const tool = seen.definition.name;
  return {
    pin: { v: 1, tool, accepted: { ...recordOf(seen, flags), by: byFirstUse } },
    events: [draft('tool.registered', { tool, schema_digest: seen.schema_digest, flags })],
  };
};

const acceptedByFile = (pin: ToolPin | undefined, seen: Sighting): PinChange => {
  const tool = seen.definition.name;
  const { schema_digest } = seen;
  const flags = seen.flags();
  const was = pin?.accepted?.schema_digest;
  return {
    pin: { v: 1, tool, accepted: { ...recordOf(seen, flags), by: byFile } },
    events: [
      ...(pin ? [] : [draft('tool.registered', { tool, schema_digest, flags })]),
      draft('tool.accepted', { tool, schema_digest, flags, by: byFile, ...(was !== undefined && { was }) }),
    ],
  };
};

const waiting = (
  pin: ToolPin | undefined,
  seen: Sighting,
  { flags, why }: { flags: ToolFlag[]; why: QuarantineReason },
): PinChange => {
  const tool = seen.definition.name;
  const { schema_digest } = seen;
  const accepted = pin?.accepted?.schema_digest;
  const was = pin?.offered?.schema_digest ?? accepted;
  return {
    pin: {
      v: 1,
      tool,
      ...(pin?.accepted && { accepted: pin.accepted }),
      offered: { ...recordOf(seen, flags), why, state: 'waiting' },
    },
    events: [
      was === undefined
        ? draft('tool.registered', { tool, schema_digest, flags })
        : draft('tool.changed', { tool, was, schema_digest, flags }),
      draft('tool.quarantined', { tool, schema_digest, why, flags, ...(accepted !== undefined && { accepted }) }),
    ],
  };
};
