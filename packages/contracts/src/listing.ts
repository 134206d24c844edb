import { z } from 'zod';
import { request } from './contract.ts';
import { leaseAnswer, leaseAsk } from './internal.ts';
import { epochMs, name, permitId } from './names.ts';
import { obligations, policyRevision, seal } from './permit.ts';

// A server that tells its tools to nobody without a credential (`list_with` of agentgate.yaml): the runner reads the list with a lease of
// its own, under a permit that is good for nothing else.

const v = z.literal(1);

/** What a listing permit says; signed by policy under a domain of its own, so that it passes for no call's permit, and none for it. */
export const listingClaims = z.strictObject({
  credential: obligations.shape.credential.unwrap(),
  /** The list is read by then, or not at all. Milliseconds since the epoch, as the others. */
  deadline: epochMs,
  expires_at: epochMs,
  id: permitId,
  issued_at: epochMs,
  policy: policyRevision,
  server: name,
  v,
});
export type ListingClaims = z.infer<typeof listingClaims>;
export const listingPermit = z.strictObject({ claims: listingClaims, seal });
export type ListingPermit = z.infer<typeof listingPermit>;
export const listingDomain = 'agentgate-listing-permit-v1';

/** Whom a listing lease is of, in its id, in evidence and for kill orders. No tenant of the configuration may have this name: it is the gate's own. */
export const gateTenant = 'agentgate';
export const listingAgent = 'tool-runner';
export const listingTool = (server: string): string => `${server}/tools/list`;

export const policyPermitListing = request('svc.v1.policy.permit-listing', {
  ask: z.strictObject({ v, server: name }),
  answer: z.strictObject({ v, permit: listingPermit }),
  by: ['tool-runner'],
  of: 'policy',
  timeoutMs: 2_000,
});
export const listingLeaseAsk = z.strictObject({ v, ...leaseAsk.omit({ held: true }).shape, permit: listingPermit });
export type ListingLeaseAsk = z.infer<typeof listingLeaseAsk>;
export const brokerLeaseListing = request('svc.v1.broker.lease-listing', {
  ask: listingLeaseAsk,
  answer: z.strictObject({ v, lease: leaseAnswer }),
  by: ['tool-runner'],
  of: 'credential-broker',
  timeoutMs: 3_000,
});

export const listingContracts = { policyPermitListing, brokerLeaseListing };
