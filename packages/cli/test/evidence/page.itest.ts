import { execFile } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type Excerpt, inclusionProof } from '@agentgate/evidence';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Files, makeLog, publish, signersOf, vkeysOf } from '../../../evidence/test/verify/log-maker.ts';
import { registerExport } from '../../src/evidence/export.ts';
import { pageOf } from '../../src/evidence/page.ts';
import { findChromium } from '../../src/evidence/pdf.ts';
import { runnerOf, workFolder, writeFiles } from './run.ts';

// The page in a real browser. Where there is none, nothing here runs: apt-get install --no-install-recommends chromium.

const { PATH } = process.env;
const chromium = findChromium(PATH);
const log = makeLog(31, 60);
const { keys } = log.deployment;
const vkeys = vkeysOf(keys);
const run = runnerOf(registerExport, { PATH });
let work: string;
let page: string;

beforeAll(async () => {
  work = workFolder();
  page = await exported('html');
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

const flags = () => [
  '--log',
  writeFiles(join(work, 'log'), log.files),
  '--vkey',
  vkeys.log,
  '--witness',
  vkeys.witness,
];
const exported = async (format: string, ...more: string[]): Promise<string> => {
  const out = join(work, `out.${format}`);
  const selection = more.length > 0 ? more : ['--agent', 'demo'];
  expect((await run('export', ...flags(), ...selection, '--format', format, '--out', out)).code).toBe(0);
  return format === 'pdf' ? out : readFileSync(out, 'utf8');
};

/** What the page is once its script has run. */
const opened = async (html: string) => {
  const file = join(work, 'page.html');
  writeFileSync(file, html);
  const args = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    `--user-data-dir=${join(work, 'profile')}`,
    '--virtual-time-budget=60000',
    '--dump-dom',
  ];
  const { stdout } = await promisify(execFile)(chromium ?? '', [...args, pathToFileURL(file).href], {
    maxBuffer: 2 ** 26,
  });
  const text = (pattern: RegExp) => pattern.exec(stdout)?.[1];
  return {
    verdict: text(/<html lang="en" data-verdict="(\w+)"/),
    says: text(/<p id="verdict"[^>]*>([^<]*)</),
    good: stdout.match(/data-cell="verdict" class="good"/g)?.length ?? 0,
    bad: stdout.match(/data-cell="verdict" class="bad"/g)?.length ?? 0,
    witness: text(/<span data-verdict=""[^>]*>([^<]*)</),
  };
};
const excerptIn = (html: string) => /(<script type="application\/json" id="excerpt">)(.*?)(<\/script>)/s.exec(html);
const withExcerpt = (html: string, change: (excerpt: Excerpt) => void): string => {
  const [all = '', before = '', text = '', after = ''] = excerptIn(html) ?? [];
  const excerpt = JSON.parse(text) as Excerpt;
  change(excerpt);
  return html.replace(all, () => before + JSON.stringify(excerpt).replaceAll('<', '\\u003c') + after);
};
const other = vkeysOf(makeLog(32, 10).deployment.keys);
const onePair = /<tr role="row" data-index="\d+">.*?<\/tr>\n<tr role="row" class="data">.*?<\/tr>\n/s;
/** With the rows of its first two entries in the other order. */
const swapped = (html: string) =>
  html.replace(
    new RegExp(`(${onePair.source})(${onePair.source})`, 's'),
    (_, first: string, second: string) => second + first,
  );
const pathIn = (files: Files, { index, size }: { index: number; size: number }): string[] => {
  const readTile = (path: string) => files.get(path) as Uint8Array;
  return inclusionProof({ index, size, readTile }).map((hash) => Buffer.from(hash).toString('base64'));
};
const change = (excerpt: Excerpt, at: number, from: string, to: string) => {
  const each = excerpt.entries[at] as { entry: string };
  expect(each.entry).toContain(from);
  each.entry = each.entry.replace(from, to);
};

describe.skipIf(chromium === undefined)('a page in Chromium', { timeout: 120_000 }, () => {
  test('finds itself good: each event, the checkpoint, and the witness', async () => {
    const { entries } = JSON.parse(excerptIn(page)?.[2] ?? '') as Excerpt;
    const shown = await opened(page);
    expect(shown).toMatchObject({ verdict: 'good', good: entries.length, bad: 0 });
    expect(shown.says).toBe(
      `✓ All ${entries.length} events are verified in this browser, by the keys below: sealed by their producers, in the log, under its signed checkpoint, which a witness cosigned.`,
    );
    expect(shown.witness).toMatch(/^✓ saw it at 20/);
  });

  test.each<[string, (html: string) => string, RegExp]>([
    [
      'a byte of an entry',
      (html) => withExcerpt(html, (excerpt) => change(excerpt, 2, 'call_', 'cbll_')),
      /the log does not hold it/,
    ],
    [
      'a byte of a path',
      (html) =>
        withExcerpt(
          html,
          ({ entries }) =>
            void Object.assign(entries[1] as object, {
              path: ['A'.repeat(43).concat('='), ...(entries[1]?.path.slice(1) ?? [])],
            }),
        ),
      /the log does not hold it/,
    ],
    [
      'an index',
      (html) => withExcerpt(html, ({ entries }) => void Object.assign(entries[1] as object, { index: 1 })),
      /the log does not hold it/,
    ],
    [
      'the checkpoint',
      (html) =>
        withExcerpt(html, (excerpt) =>
          Object.assign(excerpt, { checkpoint: excerpt.checkpoint.replace('\n60\n', '\n61\n') }),
        ),
      /not signed by the log’s key/,
    ],
    [
      'what is shown of an event',
      (html) => html.replace('data-cell="outcome">', 'data-cell="outcome">really '),
      /entry \d+: what is shown as its outcome is not in evidence/,
    ],
    [
      'the data that is shown',
      (html) => html.replace('kill_epoch&quot;: 0', 'kill_epoch&quot;: 1'),
      /what is shown as its data is not in evidence/,
    ],
    [
      'an event that is left out of the page',
      (html) => withExcerpt(html, ({ entries }) => void (entries as unknown[]).splice(1, 1)),
      /it is in the evidence, and not in its place on the page/,
    ],
    [
      'a row that is left out',
      (html) => html.replace(/<tr role="row" data-index="\d+">.*?<\/tr>\n<tr role="row" class="data">.*?<\/tr>\n/s, ''),
      /it is in the evidence, and not in its place on the page/,
    ],
    [
      'a row, shown twice with other content',
      (html) =>
        html.replace(
          /<tr role="row" data-index.*?<\/tr>/s,
          (row) => `${row.replace('demo', 'admin').replace('not verified yet', '✓ verified')}${row}`,
        ),
      /is not in evidence|not in its place on the page/,
    ],
    [
      'the end of the table, by a row of nothing',
      (html) =>
        html.replace('</tbody>', '<tr><td colspan="7">entry 99: the operator stole it ✓ verified</td></tr></tbody>'),
      /a row is on the page, and not in the evidence/,
    ],
    [
      'a row, which has a cell more',
      (html) =>
        html.replace(
          '<td role="cell" data-cell="verdict">',
          '<td>by the operator</td><td role="cell" data-cell="verdict">',
        ),
      /more is shown of it than is in evidence/,
    ],
    [
      'a row, which is hidden',
      (html) => html.replace('<tr role="row" data-index', '<tr role="row" hidden data-index'),
      /more is shown of it/,
    ],
    [
      'the order of two entries',
      (html) =>
        swapped(withExcerpt(html, ({ entries }) => void (entries as unknown[]).splice(0, 2, entries[1], entries[0]))),
      /out of the log’s order/,
    ],
    [
      'how often an entry stands there',
      (html) =>
        withExcerpt(html, ({ entries }) => void (entries as unknown[]).unshift(entries[0])).replace(onePair, '$&$&'),
      /stands twice/,
    ],
    [
      'all entries, which are gone',
      (html) =>
        withExcerpt(html, (excerpt) => Object.assign(excerpt, { entries: [] })).replace(
          /(<tbody[^>]*>).*(<\/tbody>)/s,
          '$1$2',
        ),
      /the page holds no evidence/,
    ],
    [
      'the witness that is shown',
      (html) => html.replaceAll(/(<span class="key">)witness[^<]*/g, `$1${other.witness}`),
      /did not cosign this checkpoint/,
    ],
    [
      'the key that is shown',
      (html) => html.replace(/(id="log-key" class="key">)[^<]*/, `$1${vkeys.witness}`),
      /the key that is shown is another one/,
    ],
    [
      'the deployment’s key',
      (html) => html.replace(/(id="deployment-key" class="key">)[^<]*/, `$1${keys.log.publicKey}`),
      /no key [0-9a-f]{16} speaks for/,
    ],
    [
      'a key event',
      (html) => withExcerpt(html, (excerpt) => void (excerpt.keys as unknown[]).pop()),
      /no key [0-9a-f]{16} speaks for/,
    ],
    [
      'a cosignature',
      (html) =>
        withExcerpt(html, (excerpt) =>
          Object.assign(excerpt, {
            checkpoint: excerpt.checkpoint.trimEnd().split('\n').slice(0, -1).join('\n').concat('\n'),
          }),
        ),
      /did not cosign this checkpoint/,
    ],
  ])('turns red when somebody changed %s', async (_, tamper, reason) => {
    const html = tamper(page);
    expect(html).not.toBe(page);
    const shown = await opened(html);
    expect(shown.verdict).toBe('bad');
    expect(shown.says).toMatch(reason);
  });

  test('turns red when whoever has the log’s key added to an entry what its producer did not seal', async () => {
    const at = log.entries.findIndex((entry) => entry.includes('"agent":"demo"'));
    const forged = (log.entries[at] as string).replace(/\}$/, () => {
      const { event } = JSON.parse(log.entries[at] as string) as { event: object };
      return `,"event":${JSON.stringify({ ...event, agent: 'mallory' })}}`;
    });
    const entries = log.entries.with(at, forged);
    const published = publish(entries, signersOf(log.deployment, log.at));
    const checkpoint = Buffer.from(published.get('checkpoint') as Uint8Array).toString();
    const entryAt = (index: number) => ({
      index,
      entry: entries[index] as string,
      path: pathIn(published, { index, size: entries.length }),
    });
    const excerpt = JSON.parse(excerptIn(page)?.[2] ?? '') as Excerpt;
    const forgery = {
      ...excerpt,
      checkpoint,
      keys: excerpt.keys.map(({ index }) => entryAt(index)),
      entries: [entryAt(at)],
    };
    const about = {
      title: 't',
      asked: 'a',
      madeAt: 'now',
      witnesses: [],
      deploymentKey: keys.deployment.publicKey,
      file: 'f',
    };
    const shown = await opened(pageOf(forgery, about));
    expect(shown.verdict).toBe('bad');
    expect(shown.says).toMatch(/it is not of the form that entries have/);
  });

  test('does not run a script that somebody put into it', async () => {
    const html = page.replace('</main>', '<script>document.documentElement.dataset.verdict = "forged"</script></main>');
    expect((await opened(html)).verdict).toBe('good');
  });

  test('is printed as a PDF', async () => {
    const file = await exported('pdf');
    expect(existsSync(file)).toBe(true);
    expect(statSync(file).size).toBeGreaterThan(10_000);
    expect(readFileSync(file).subarray(0, 5).toString()).toBe('%PDF-');
  });
});

test('a page loads nothing, and has no script or style that its policy does not name', () => {
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1] ?? '';
  expect(policy).toMatch(
    /^default-src 'none'; script-src 'sha256-[^ ]+'; style-src 'sha256-[^ ]+'; base-uri 'none'; form-action 'none'$/,
  );
  const [, , data = ''] = excerptIn(page) ?? [];
  expect(page.replace(data, '')).not.toMatch(/\b(?:src|href|action)=|url\(|@import|\son\w+=/);
});
