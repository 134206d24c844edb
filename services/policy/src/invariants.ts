import { type CatalogTool, type Decision, limits, type PermitClaims, type ToolPin } from '@agentgate/contracts';
import { deny } from '@agentgate/policy-engine';
import { isOwn, quarantineOf } from '@agentgate/runtime';

// What no bundle can switch off. Rego is not asked about these, and its answer does not matter to them: they are held against each
// permit in the moment before it is signed. The services that the permit then meets ask again, of what they know themselves:
//
//   unknown tool is denied                  here · tool-runner: its own list of the server's tools
//   no call on a quarantined tool           here · tool-runner: its own view of the pins, and the definition that its server lists
//   no approval by its requester            here · approvals · tool-runner: the signed approval in the permit
//   no permit longer than 30 s              here · tool-runner and broker: not even one longer than 5 s
//   a killed scope                          ingress asks the kill-switch · tool-runner and broker: their own view of the orders
//   an unavailable part                     whoever asks it: silence, lateness and malformed answers deny

/** What a permit is about, as it is known now and not when the engine was asked. */
export interface PermitSubject {
  claims: PermitClaims;
  tool: CatalogTool | undefined;
  pin: ToolPin | undefined;
}

/** The denial that takes the permit's place, or undefined where it may be signed. */
export const heldByInvariant = ({ claims, tool, pin }: PermitSubject): Decision | undefined => {
  if (!tool) return deny('UNKNOWN_TOOL', `tool ${claims.tool} is not known`);
  const quarantined = quarantineOf(tool.name, pin, tool.schema_digest);
  if (quarantined !== undefined) return deny('TOOL_QUARANTINED', quarantined);
  if (tool.name !== claims.tool || tool.schema_digest !== claims.schema_digest)
    return deny('TOOL_QUARANTINED', `tool ${claims.tool} was defined anew while the call was decided`);
  const requester = { agent: claims.agent, person: claims.subject?.person };
  if (claims.approval && isOwn(claims.approval.claims, requester))
    return deny('APPROVAL_INVALID', 'approval: who asks does not approve');
  // Not `>`: what is no number is no time.
  if (!(claims.expires_at - claims.issued_at <= limits.permitTtlMaxMs))
    return deny('POLICY_INVALID', `no permit lives longer than ${limits.permitTtlMaxMs} ms`);
  return undefined;
};
