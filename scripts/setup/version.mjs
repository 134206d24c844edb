// Versions as programs print them: "nats-server: v2.15.2", "Redis server v=7.0.15 sha=…", "Version: 1.22.2".

/** The first a.b.c in `text`, with its pre-release tag if it has one; undefined if there is none. */
export const findVersion = (text) => /\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?/.exec(text)?.[0];

const parts = (version) => {
  const [core, tag] = version.split(/-(.*)/s);
  return { numbers: core.split('.').map(Number), tag };
};

/** Below zero if `a` is older than `b`. A pre-release is older than its release; two of one release count as equal. */
export const compareVersions = (a, b) => {
  const [left, right] = [parts(a), parts(b)];
  for (let i = 0; i < 3; i++) {
    const difference = (left.numbers[i] ?? 0) - (right.numbers[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return Number(left.tag === undefined) - Number(right.tag === undefined);
};

/** A pin accepts one exact version, or its floor and everything newer. */
export const accepts = (pin, version) =>
  pin.exactly === undefined ? compareVersions(version, pin.floor) >= 0 : version === pin.exactly;

export const wanted = (pin) => (pin.exactly === undefined ? `${pin.floor} or newer` : `exactly ${pin.exactly}`);
