import type { Core } from './core.ts';

export interface MicroInfo {
  service: string;
  version: string;
  description: string;
}

/** Answers `$SRV.{PING,INFO,STATS}` (NATS ADR-32), so that `nats micro list` shows the service. */
export const answerMicro = (core: Core, info: MicroInfo): void => {
  const started = new Date().toISOString();
  const base = () => ({ name: info.service, id: core.instance, version: info.version, metadata: {} });
  const endpoint = { name: info.service, subject: `svc.v1.${info.service}.>`, queue_group: info.service };
  const bodies = {
    PING: () => ({ type: 'io.nats.micro.v1.ping_response', ...base() }),
    INFO: () => ({
      type: 'io.nats.micro.v1.info_response',
      ...base(),
      description: info.description,
      endpoints: [{ ...endpoint, metadata: {} }],
    }),
    STATS: () => ({
      type: 'io.nats.micro.v1.stats_response',
      ...base(),
      started,
      endpoints: [
        {
          ...endpoint,
          num_requests: core.stats.requests,
          num_errors: core.stats.errors,
          last_error: '',
          processing_time: 0,
          average_processing_time: 0,
        },
      ],
    }),
  };
  for (const [verb, body] of Object.entries(bodies)) {
    for (const subject of [
      `$SRV.${verb}`,
      `$SRV.${verb}.${info.service}`,
      `$SRV.${verb}.${info.service}.${core.instance}`,
    ]) {
      core.nc.subscribe(subject, {
        callback: (error, msg) => {
          if (!error && msg.reply) msg.respond(JSON.stringify(body()));
        },
      });
    }
  }
};
