import { type ContainmentPoint, describeScope, type KillReceipt, type Scope } from '@agentgate/contracts';
import type { CliContext } from '../context.ts';
import { visible } from './approvals.ts';

// What an operator reads of a kill: fit for 80 columns, the worst last, where the eye is.

type Speaker = Pick<CliContext, 'paint'>;

/** Of a tenant other than the default one, whose: two tenants may each have an agent of that name. */
export const tellScope = (scope: Scope): string => {
  const tenant = 'tenant' in scope ? scope.tenant : undefined;
  return `${visible(describeScope(scope))}${tenant === undefined || tenant === 'default' ? '' : ` of tenant ${tenant}`}`;
};

export const tellPoint = ({ paint }: Speaker, { service, instance, confirmed_in_ms: ms }: ContainmentPoint): string =>
  ms === null
    ? `  ${paint.red('✗')} ${service} ${paint.dim(instance)} ${paint.red('did not confirm')}`
    : `  ${paint.green('✓')} ${service} ${paint.dim(instance)} confirmed in ${ms.toFixed(1)} ms`;

/** Of the calls that were not simply aborted, so many are named; `--json` and evidence name all. */
const callsNamed = 20;
const tellCalls = ({ paint }: Speaker, calls: KillReceipt['calls']): string[] => {
  if (calls.length === 0) return [];
  const of = (fate: KillReceipt['calls'][number]['fate']) => calls.filter((call) => call.fate === fate);
  const [aborted, completed, unknown] = [of('aborted'), of('completed'), of('unknown')];
  const told = [...unknown, ...completed].slice(0, callsNamed);
  const more = unknown.length + completed.length - told.length;
  const counts = [
    `${aborted.length} aborted`,
    `${completed.length} completed`,
    unknown.length > 0 ? paint.red(`${unknown.length} unknown`) : '0 unknown',
  ];
  return [
    `  ${calls.length} ${calls.length === 1 ? 'call' : 'calls'} in flight: ${counts.join(', ')}`,
    ...told.map(({ call, fate }) => `    ${call} ${fate === 'unknown' ? paint.red('may have run') : 'had completed'}`),
    ...(more > 0 ? [`    and ${more} more (--json names all)`] : []),
  ];
};

export const tellReceipt = (
  ctx: Speaker,
  receipt: Omit<KillReceipt, 'calls' | 'signature'> & { calls?: KillReceipt['calls'] | undefined },
): string => {
  const { paint } = ctx;
  const { contained, epoch, contained_in_ms, scope, points, leases, approvals, calls } = receipt;
  const { revoked, irrevocable } = leases;
  const { voided } = approvals;
  return [
    `${paint.bold(contained ? paint.green('contained') : paint.red('ordered, NOT contained'))}: ${tellScope(scope)}, epoch ${epoch}, in ${contained_in_ms.toFixed(1)} ms`,
    ...points.map((point) => tellPoint(ctx, point)),
    ...(calls
      ? tellCalls(ctx, calls)
      : ['  the calls in flight are too many to be kept here: see kill.contained in evidence']),
    ...(revoked > 0 ? [`  ${revoked} ${revoked === 1 ? 'lease' : 'leases'} revoked, each refused after`] : []),
    ...irrevocable.map((lease) => `  ${paint.red('may still be good')} ${visible(lease)}`),
    ...(voided > 0 ? [`  ${voided} ${voided === 1 ? 'approval' : 'approvals'} voided`] : []),
    ...(contained ? [] : ['  the order stands; the same kill again asks once more who did not confirm']),
  ].join('\n');
};
