import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { readWitness } from './folder.ts';
import { createWitnessServer } from './server.ts';
import { isDiskFull } from './state.ts';
import { createWitness } from './witness.ts';

export interface RunOptions {
  folder: string;
  host: string;
  port: number;
  level: string;
}

const closeMs = 2_000;

/** Serves until `stop` is aborted. Throws WitnessError where it cannot start. */
export const runWitness = async ({ folder, host, port, level }: RunOptions, stop: AbortSignal): Promise<void> => {
  const log = pino({ level, base: { service: 'witness' }, timestamp: pino.stdTimeFunctions.isoTime });
  const { signer, vkey, logs, openState } = readWitness(folder);
  const state = openState();
  const server = createWitnessServer({
    witness: createWitness({ signer, logs, state, now: Date.now }),
    describe: () => ({ witness: signer.name, vkey, logs: [...logs.keys()], cosigned: state.sizes() }),
    onAnswer: ({ status, body, about }) => {
      const told = { status, ...about };
      if (about?.fork) log.error(told, 'the log shows two trees of one size: both checkpoints are kept');
      else if (status === 200) log.debug(told, 'cosigned');
      // How a log that was started anew learns where its witness stands (C2SP tlog-witness, 409).
      else if (status === 409) log.info({ ...told, known: body.trim() }, 'was asked from another size than it knows');
      else log.warn({ ...told, reason: body.trim() }, 'refused');
    },
    onFailure: (error) => {
      if (isDiskFull(error)) return log.error({ err: error }, 'the disk is full: nothing is signed');
      // Whether it was kept is not known: only a fresh look at the disk can say.
      log.fatal({ err: error }, 'the memory of the witness failed');
      process.exit(1);
    },
  });
  server.listen(port, host);
  await once(server, 'listening');
  const { port: taken } = server.address() as AddressInfo;
  log.info({ witness: signer.name, vkey, host, port: taken, logs: [...logs.keys()] }, 'ready');
  if (!stop.aborted) await once(stop, 'abort');
  server.close();
  server.closeIdleConnections();
  const late = setTimeout(() => server.closeAllConnections(), closeMs);
  await once(server, 'close');
  clearTimeout(late);
  state.close();
};
