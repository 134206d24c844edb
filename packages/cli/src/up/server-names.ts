/** The programs that are not ours, in the order of their start. */
export const serverNames = ['nats-server', 'redis-server'] as const;
