import { type ToolDefinition, type ToolPin, toolDomain } from '@agentgate/contracts';
import { canonical, sha256Hex } from '@agentgate/evidence';

/** Throws for a definition that is no JSON. */
export const toolDigest = ({ name, description, input_schema, annotations }: ToolDefinition): string =>
  sha256Hex(`${toolDomain}\n${canonical({ annotations, description, input_schema, name })}`);

/**
 * Why a tool may not be called that is defined so now, or undefined. Policy and the tool-runner both ask, each of its own view of the
 * pins: neither believes the other.
 */
export const quarantineOf = (tool: string, pin: ToolPin | undefined, schemaDigest: string): string | undefined => {
  if (!pin) return `tool ${tool} is not pinned yet`;
  const { accepted, offered } = pin;
  if (offered?.state === 'waiting')
    return `tool ${tool} is quarantined until an operator has looked at it: ${why[offered.why]}`;
  if (!accepted) return `tool ${tool} was rejected by an operator`;
  if (accepted.schema_digest === schemaDigest) return undefined;
  return offered?.schema_digest === schemaDigest
    ? `tool ${tool} is now defined as an operator rejected it`
    : `tool ${tool} is now defined otherwise than it was accepted`;
};

const why = {
  changed: 'its definition has changed',
  flagged: 'something is odd about its definition',
  new: 'it is new',
  not_the_pin: 'agentgate.yaml pins another definition',
} as const;
