/** What is asked of a policy's Wasm. */
export const entryPoints = ['agentgate/decision', 'agentgate/explain'] as const;
export type EntryPoint = (typeof entryPoints)[number];
