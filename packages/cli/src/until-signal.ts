/** Aborted by the first signal that asks us to end; later ones change nothing, since the way down is bounded. */
export const untilSignal = (): AbortSignal => {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  // The reader of our output may go away before us.
  process.stdout.on('error', () => stop.abort());
  return stop.signal;
};
