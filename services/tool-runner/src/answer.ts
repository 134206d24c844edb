import { type Code, type ExecuteAnswer, type Fate, toAgentGateError } from '@agentgate/contracts';
import { endingCode, endingError } from './ending.ts';
import type { Ending } from './live-calls.ts';
import { redact } from './redaction.ts';
import { shapeResult } from './result.ts';
import type { UpstreamEnd } from './upstream.ts';

export type Run = Omit<ExecuteAnswer, 'duration_ms'>;

/** How a call that was handed over ended, and who ended it if it was not the tool. */
export interface Settled {
  end: UpstreamEnd;
  ending: Ending | undefined;
}

interface Shape {
  /** Texts that must come back nowhere. */
  secrets: readonly string[];
  /** Pointer patterns of what policy hides from everybody behind this runner. */
  hidden: readonly string[];
  maxBytes: number;
}

/** What the end of a call means. Only what the server said counts as known. */
export const answerTo = ({ end, ending }: Settled, shape: Shape): Run => {
  const say = (outcome: Run['outcome'], code: Code, text: string): Run => ({
    outcome,
    code,
    reason: redact(text, shape.secrets).value.slice(0, 2048),
    redacted: [],
  });
  if (ending?.why === 'timeout') return say('timeout', 'TIMEOUT', `the tool did not answer in time; ${afterStop(end)}`);
  switch (end.kind) {
    case 'result': {
      const shaped = shapeResult(end.result, shape);
      return { ...shaped, code: shaped.outcome === 'ok' ? 'OK' : 'TOOL_ERROR' };
    }
    case 'error':
      return say('tool_error', 'TOOL_ERROR', end.reason);
    case 'not_sent': {
      const { code, message } = ending ? endingError(ending) : { code: end.code, message: end.reason };
      return say('refused', code, message);
    }
    case 'stopped':
      return ending
        ? say('aborted', endingCode(ending), 'the tool confirmed that it stopped')
        : say('aborted', 'OUTCOME_UNKNOWN', 'the tool stopped by itself');
    case 'lost':
      return say('unknown', 'OUTCOME_UNKNOWN', end.reason);
    default:
      return end satisfies never;
  }
};

const afterStop = (end: UpstreamEnd): string => {
  switch (end.kind) {
    case 'stopped':
      return 'it confirmed that it stopped';
    case 'result':
    case 'error':
      return 'it finished after its deadline, and its answer was dropped';
    case 'not_sent':
      return 'it was not handed over';
    case 'lost':
      return 'it was told to stop and did not say whether it did';
    default:
      return end satisfies never;
  }
};

/** The answer for a call that was not started. */
export const refusal = (error: unknown, duration_ms: number): ExecuteAnswer => {
  const { code, message } = toAgentGateError(error);
  return { outcome: 'refused', code, reason: message.slice(0, 2048), duration_ms, redacted: [] };
};

/** What a kill receipt says of a call that ended so; undefined where it never started. */
export const fateOf = (outcome: ExecuteAnswer['outcome']): Fate | undefined => {
  switch (outcome) {
    case 'ok':
    case 'tool_error':
      return 'completed';
    case 'aborted':
      return 'aborted';
    case 'timeout':
    case 'unknown':
      return 'unknown';
    case 'refused':
      return undefined;
    default:
      return outcome satisfies never;
  }
};
