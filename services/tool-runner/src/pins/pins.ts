import { AgentGateError, type CatalogTool, type PinningSettings, type ToolPin } from '@agentgate/contracts';
import { quarantineOf } from '@agentgate/runtime';
import { hiddenCharacters } from './hidden-characters.ts';
import { lookAlikes } from './look-alike.ts';
import { type PinEvent, sighted } from './sighting.ts';

/** A pin and the revision that it stands at; without `pin` what stands there cannot be read. */
export interface HeldPin {
  pin: ToolPin | undefined;
  revision: number;
}

/** The pins as all replicas share them. */
export interface PinStore {
  /** As this replica knows it. */
  get(tool: string): HeldPin | undefined;
  /** As it stands in the bucket now. */
  read(tool: string): Promise<HeldPin | undefined>;
  all(): Iterable<ToolPin>;
  /** How many tools of a server have one. */
  count(server: string): number;
  /** False where somebody else wrote since `before`; then nothing was written. */
  write(pin: ToolPin, before: HeldPin | undefined): Promise<boolean>;
}

export interface PinsOptions {
  store: PinStore;
  settings: PinningSettings;
  /** Resolves once the event is durable. */
  record(event: PinEvent): Promise<unknown>;
  now: () => number;
  log: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
}

export interface Pins {
  /** Why the tool may not be called that is defined so, or undefined. */
  quarantine(tool: string, schemaDigest: string): string | undefined;
  /** A server lists it so. */
  saw(tool: CatalogTool): Promise<void>;
}

/** A server may invent new tools for ever; the bucket must hold the pins of the others, too. */
const maxPinsOfServer = 8_192;
export const maxTries = 8;

export const createPins = ({ store, settings, record, now, log }: PinsOptions): Pins => ({
  quarantine: (tool, schemaDigest) => {
    const held = store.get(tool);
    if (held && !held.pin) return `the pin of tool ${tool} cannot be read`;
    const required = Object.hasOwn(settings.pins, tool) ? settings.pins[tool] : undefined;
    if (required !== undefined && required !== schemaDigest)
      return `tool ${tool} is not defined as agentgate.yaml pins it`;
    return quarantineOf(tool, held?.pin, schemaDigest);
  },
  saw: async ({ v: _, seen_at: __, schema_digest, ...definition }) => {
    const { name } = definition;
    const flags = () => [...hiddenCharacters(definition), ...lookAlikes(name, store.all())];
    let held = store.get(name);
    for (let tries = 0; tries < maxTries; tries++) {
      if (held && !held.pin) return log.error({ tool: name }, 'a pin cannot be read: its tool is not offered');
      if (!held && store.count(name.slice(0, name.indexOf('/'))) >= maxPinsOfServer)
        return log.warn({ tool: name }, 'its server has listed too many different tools: it is not offered');
      const change = sighted(held?.pin, { schema_digest, definition, flags, at: now() }, settings);
      if (!change) return undefined;
      if (await store.write(change.pin, held)) {
        if (change.pin.offered)
          log.warn({ tool: name, schema_digest, why: change.pin.offered.why }, 'a tool is quarantined');
        // The state holds already; each event is queued whatever happens, and written when it can be.
        for (const event of change.events)
          await record(event).catch((error: unknown) =>
            log.warn({ err: error, tool: name }, 'what became of a tool is not in evidence yet'),
          );
        return undefined;
      }
      // Another replica was first: what it wrote counts, and what is seen here is held against it.
      held = await store.read(name);
    }
    throw new AgentGateError('RUNNER_UNAVAILABLE', `the pin of ${name} is being changed by others`);
  },
});
