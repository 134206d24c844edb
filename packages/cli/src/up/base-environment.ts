/** What of our own environment any program may see: nothing that could hold a secret. */
const passed = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NODE_EXTRA_CA_CERTS',
];

export const baseEnvironment = (environment: Record<string, string | undefined>): Record<string, string> =>
  pick(environment, passed);

export const pick = (from: Record<string, string | undefined>, names: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])));
