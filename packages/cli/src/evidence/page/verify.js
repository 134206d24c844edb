// Runs in the reader's browser: verifies the excerpt that the page holds, and that the page shows what is in it.

const $ = (id) => document.getElementById(id);
const utf8 = new TextEncoder();
const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const hexOf = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
const join = (...parts) => {
  const all = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};
const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
// RFC 6962: the prefixes keep a leaf from passing for an inner node.
const leafHash = (bytes) => sha256(join(new Uint8Array([0]), bytes));
const nodeHash = (left, right) => sha256(join(new Uint8Array([1]), left, right));

/** RFC 9162, 2.1.3.2. */
const rootFromPath = async (leaf, index, size, path) => {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) return '';
  let node = index;
  let last = size - 1;
  let root = leaf;
  for (const sibling of path) {
    if (last === 0) return '';
    if (node % 2 === 1 || node === last) {
      root = await nodeHash(sibling, root);
      while (node % 2 === 0 && node !== 0) {
        node = Math.floor(node / 2);
        last = Math.floor(last / 2);
      }
    } else root = await nodeHash(root, sibling);
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? hexOf(root) : '';
};

const verifySignature = async (publicKey, signature, text) => {
  const key = await crypto.subtle.importKey('raw', publicKey, { name: 'Ed25519' }, false, ['verify']);
  return crypto.subtle.verify({ name: 'Ed25519' }, key, signature, utf8.encode(text));
};

// c2sp.org/signed-note and c2sp.org/tlog-cosignature.
const keyType = { log: 1, witness: 4 };
/** `<name>+<key id>+<base64 of type and key>`; the id is the hash of the rest. */
const readVkey = async (vkey, type) => {
  const [name, id, ...rest] = vkey.split('+');
  const typed = bytesOf(rest.join('+'));
  const isGood = hexOf((await sha256(join(utf8.encode(`${name}\n`), typed))).slice(0, 4)) === id;
  if (!isGood) throw new Error(`the id of the key of ${name} is not its own`);
  if (typed[0] !== type) throw new Error(`the key of ${name} is of another kind`);
  return { name, id, key: typed.slice(1) };
};

const readNote = (note) => {
  const end = note.lastIndexOf('\n\n');
  const signatures = note
    .slice(end + 2)
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' '))
    .map(([, name, base64]) => ({ name, id: hexOf(bytesOf(base64).slice(0, 4)), bytes: bytesOf(base64).slice(4) }));
  const text = note.slice(0, end + 1);
  const [origin, size, root] = text.split('\n');
  return { text, signatures, origin, size: Number(size), root: hexOf(bytesOf(root)) };
};

const verifyNote = async (note, vkey) => {
  const { name, id, key } = await readVkey(vkey, keyType.log);
  if (name !== note.origin) throw new Error('the checkpoint is of another log');
  const signature = note.signatures.find((each) => each.name === name && each.id === id);
  if (!signature || !(await verifySignature(key, signature.bytes, note.text)))
    throw new Error('the checkpoint is not signed by the log’s key');
};

/** When a witness says that it saw the checkpoint, in seconds; undefined where it did not cosign. */
const cosignedAt = async (note, vkey) => {
  const { name, id, key } = await readVkey(vkey, keyType.witness);
  const signature = note.signatures.find((each) => each.name === name && each.id === id);
  if (!signature) return undefined;
  const time = new DataView(signature.bytes.buffer, signature.bytes.byteOffset).getBigUint64(0);
  const text = `cosignature/v1\ntime ${time}\n${note.text}`;
  if (!(await verifySignature(key, signature.bytes.slice(8), text)))
    throw new Error(`the cosignature of ${name} is wrong`);
  return Number(time);
};

// An entry's two members stand side by side in canonical form: the last place is the seal's.
const eventMark = '{"event":';
const sealMark = ',"seal":';
/** Nothing may stand in an entry but what its producer sealed, and the seal: of two members of one name JSON takes the last. */
const readEntry = (entry) => {
  const parsed = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  };
  const at = entry.lastIndexOf(`${sealMark}{"index":`);
  const text = entry.slice(eventMark.length, at);
  const seal = parsed(entry.slice(at + sealMark.length, -1));
  if (entry !== `${eventMark}${text}${sealMark}${JSON.stringify(seal)}}`)
    throw new Error('it is not of the form that entries have');
  return { text, event: parsed(text) ?? {}, seal };
};

/** The keys that speak at one place of the log, as its key events say. */
const createKeys = (deploymentKey) => {
  const known = new Map();
  const serviceOf = (source) => source.split('/')[1] ?? '';
  const idOf = async (key) => hexOf(await sha256(key)).slice(0, 16);
  const raw = (base64url) => bytesOf(base64url.replaceAll('-', '+').replaceAll('_', '/'));
  return {
    begin: async () => known.set(`deployment ${await idOf(raw(deploymentKey))}`, raw(deploymentKey)),
    find: (source, keyid) => known.get(`${serviceOf(source)} ${keyid}`),
    take: async ({ source, type, data }) => {
      if (!/^agentgate\.key\.(added|revoked)\.v1$/.test(type)) return;
      if (serviceOf(source) !== 'deployment') throw new Error('says whose a key is, and may not');
      const place = `${data.service} ${data.keyid}`;
      if (type.includes('revoked')) known.delete(place);
      else if ((await idOf(raw(data.key))) !== data.keyid) throw new Error('its keyid is not the one of its key');
      else known.set(place, raw(data.key));
    },
  };
};

const verifyEntry = async ({ index, entry, path }, note, keys) => {
  const leaf = await leafHash(utf8.encode(entry));
  if ((await rootFromPath(leaf, index, note.size, path.map(bytesOf))) !== note.root)
    throw new Error('the log does not hold it: it was changed, or its proof was');
  const { text, event, seal } = readEntry(entry);
  if (
    (await rootFromPath(await leafHash(utf8.encode(text)), seal.index, seal.size, seal.path.map(bytesOf))) !== seal.root
  )
    throw new Error('it is not what its producer sealed');
  const key = keys.find(event.source, seal.keyid);
  if (!key) throw new Error(`no key ${seal.keyid} speaks for ${event.source}`);
  const signed = `agentgate-seal-v1\n${event.source}\n${event.producerepoch}\n${seal.size}\n${seal.root}\n`;
  if (!(await verifySignature(key, bytesOf(seal.sig), signed))) throw new Error('its seal is not its producer’s');
  await keys.take(event);
  return event;
};

const headings = {
  index: 'place',
  time: 'time',
  type: 'event',
  who: 'agent and session',
  about: 'subject',
  outcome: 'outcome',
  data: 'data',
};

/** Whoever reads may have unfolded it already. */
const unopened = (row) => {
  const copy = row?.cloneNode(true);
  copy?.querySelector('details')?.removeAttribute('open');
  return copy;
};

/** Whether the entry's two rows are, to the last attribute, what the entry says. */
const checkShown = (rows, index, event) => {
  for (const [name, text] of Object.entries(cellsOf(index, event))) {
    const shown = rows.map((row) => row.querySelector(`[data-cell="${name}"]`)).find(Boolean);
    if (shown?.textContent !== text) throw new Error(`what is shown as its ${headings[name]} is not in evidence`);
  }
  const wanted = document.createElement('tbody');
  wanted.innerHTML = rowsOf(index, event);
  const isSame = [...wanted.children].every((row, i) => unopened(rows[i])?.isEqualNode(row));
  if (!isSame) throw new Error('more is shown of it than is in evidence');
};

const judge = (element, isGood, text) => {
  element.textContent = `${isGood ? '✓' : '✗'} ${text}`;
  element.className = isGood ? 'good' : 'bad';
};

const run = async () => {
  // Only secure contexts have it: files, and pages over HTTPS.
  if (!crypto.subtle) throw new Error('this browser verifies nothing on such a page: save it, and open the file');
  const excerpt = JSON.parse($('excerpt').textContent);
  const note = readNote(excerpt.checkpoint);
  const faults = [];
  const attempt = async (work, onFault, where = '') => {
    try {
      return await work();
    } catch (error) {
      faults.push(`${where}${error.message}`);
      onFault?.(error.message);
      return undefined;
    }
  };

  await attempt(
    async () => {
      if ($('log-key').textContent !== excerpt.log.vkey) throw new Error('the key that is shown is another one');
      await verifyNote(note, excerpt.log.vkey);
      judge($('checkpoint-verdict'), true, `signed by the log’s key: ${note.size} entries`);
    },
    (message) => judge($('checkpoint-verdict'), false, message),
  );
  let witnesses = 0;
  for (const item of document.querySelectorAll('.witness')) {
    const verdict = item.querySelector('[data-verdict]');
    await attempt(
      async () => {
        const time = await cosignedAt(note, item.querySelector('.key').textContent);
        if (time === undefined) throw new Error('did not cosign this checkpoint');
        witnesses += 1;
        judge(verdict, true, `saw it at ${new Date(time * 1000).toISOString()}`);
      },
      (message) => judge(verdict, false, message),
    );
  }

  const keys = createKeys($('deployment-key').textContent);
  await attempt(() => keys.begin());
  const shown = [...$('events').children];
  const all = [...excerpt.entries.map((each, at) => [each, at]), ...excerpt.keys.map((each) => [each])];
  all.sort(([a], [b]) => a.index - b.index);
  let good = 0;
  for (const [each, at] of all) {
    const isShown = at !== undefined;
    const rows = isShown ? shown.slice(2 * at, 2 * at + 2) : [];
    const mark = rows[0]?.querySelector('[data-cell="verdict"]');
    await attempt(
      async () => {
        const event = await verifyEntry(each, note, keys);
        if (!isShown) return;
        if (excerpt.entries[at - 1]?.index >= each.index) throw new Error('it stands twice, or out of the log’s order');
        if (rows[0]?.dataset.index !== String(each.index))
          throw new Error('it is in the evidence, and not in its place on the page');
        checkShown(rows, each.index, event);
        judge(mark, true, 'verified');
        good += 1;
      },
      (message) => mark && judge(mark, false, message),
      isShown ? `entry ${each.index}: ` : `entry ${each.index}, which says whose a key is: `,
    );
  }
  for (const row of shown.slice(2 * excerpt.entries.length)) {
    const mark = row.querySelector('[data-cell="verdict"]');
    await attempt(
      () => Promise.reject(new Error('a row is on the page, and not in the evidence')),
      (message) => mark && judge(mark, false, message),
    );
  }
  await attempt(() => excerpt.entries.length > 0 || Promise.reject(new Error('the page holds no evidence')));

  if (faults.length === 0)
    judge(
      $('verdict'),
      true,
      `${good === 1 ? 'The event is' : `All ${good} events are`} verified in this browser, by the keys below: sealed by their producers, in the log, under its signed checkpoint${witnesses === 0 ? '; no witness vouches for it' : `, which ${witnesses === 1 ? 'a witness' : `${witnesses} witnesses`} cosigned`}.`,
    );
  else
    judge($('verdict'), false, `Not to be relied on. ${faults.length} of the checks failed; the first: ${faults[0]}.`);
  document.documentElement.dataset.verdict = faults.length === 0 ? 'good' : 'bad';
};

run().catch((error) => {
  const why = error.name === 'NotSupportedError' ? 'this browser does not know Ed25519' : error.message;
  judge($('verdict'), false, `Could not be verified here: ${why}.`);
  document.documentElement.dataset.verdict = 'bad';
});
