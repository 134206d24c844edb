import { readFileSync } from 'node:fs';

// What benchmarks read off lists of times and off processes.

/** The value below which a share `q` of the values lies; NaN of none. */
export const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN;

const ofStatus = (pid: number, field: 'VmHWM' | 'VmRSS'): number => {
  const kib = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1_024;
};
/** MiB; the highest that the process ever had. */
export const peakMiB = (pid: number): number => ofStatus(pid, 'VmHWM');
/** MiB that the process has now. */
export const residentMiB = (pid: number): number => ofStatus(pid, 'VmRSS');

const ticksPerSecond = 100;
/** Of CPU that the process has used. */
export const cpuSeconds = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
};
