import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Excerpt } from '@agentgate/evidence';
import { quoted } from '../quoted.ts';
import { escaped, rowsOf } from './page/cells.js';

/** What a page says beside the excerpt itself. */
interface PageAbout {
  title: string;
  /** What was asked for, in words. */
  asked: string;
  /** RFC 3339. */
  madeAt: string;
  witnesses: readonly string[];
  /** Base64url; vouches for the producers' keys. */
  deploymentKey: string;
  /** What the page calls itself where it says how to verify it; of a JSON export, where it is to be printed. */
  file: string;
}

const part = (name: string) => readFileSync(new URL(`page/${name}`, import.meta.url), 'utf8');
const hashSource = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
/** For a script element of data: nothing in it may end that element. */
const asData = (value: object) => JSON.stringify(value).replaceAll('<', '\\u003c');

const rowHtml = ({ index, entry }: Excerpt['entries'][number]): string =>
  rowsOf(index, (JSON.parse(entry) as { event: object }).event);

const witnessHtml = (vkey: string) =>
  `<dt>witness</dt><dd class="witness"><span class="key">${escaped(vkey)}</span><br><span data-verdict>not verified yet</span></dd>`;

/** One page without anything from outside, which verifies itself where it is opened. */
export const pageOf = (excerpt: Excerpt, about: PageAbout): string => {
  const style = part('style.css');
  const script = `(() => {\n${part('cells.js').replaceAll('export const', 'const')}\n${part('verify.js')}})();`;
  const policy = `default-src 'none'; script-src ${hashSource(script)}; style-src ${hashSource(style)}; base-uri 'none'; form-action 'none'`;
  const { vkey } = excerpt.log;
  const witnessFlags = about.witnesses.map((each) => ` --witness ${quoted(each)}`).join('');
  const command = `npx agentgate evidence verify ${quoted(about.file)} --vkey ${quoted(vkey)}${witnessFlags} --deployment-key ${quoted(about.deploymentKey)}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escaped(about.title)}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${escaped(about.title)}</h1>
<p class="soft">Asked for: ${escaped(about.asked)}. Exported ${escaped(about.madeAt)}.</p>
<p id="verdict" role="status" aria-live="polite">Not verified: this page verifies itself by a script, which did not run.</p>
<h2>Events</h2>
<div class="scroll" role="region" aria-label="Events" tabindex="0">
<table role="table">
<caption>${excerpt.entries.length} entries of the evidence log ${escaped(excerpt.log.origin)}, in its order</caption>
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Entry</th><th role="columnheader" scope="col">Time</th><th role="columnheader" scope="col">Event</th><th role="columnheader" scope="col">Agent, session</th><th role="columnheader" scope="col">About</th><th role="columnheader" scope="col">Outcome</th><th role="columnheader" scope="col">Verdict</th></tr></thead>
<tbody id="events" role="rowgroup">
${excerpt.entries.map(rowHtml).join('\n')}
</tbody>
</table>
</div>
<h2>By whose word</h2>
<dl>
<dt>log</dt><dd><span id="log-key" class="key">${escaped(vkey)}</span><br><span id="checkpoint-verdict">not verified yet</span></dd>
${about.witnesses.map(witnessHtml).join('\n') || '<dt>witness</dt><dd>None is named: that the log was not rewritten is the word of whoever holds its key.</dd>'}
<dt>deployment</dt><dd><span id="deployment-key" class="key">${escaped(about.deploymentKey)}</span><br><span class="soft">recorded in the log which keys sign for which service</span></dd>
</dl>
<h2>Do not take this page’s word for it</h2>
<p>A page that verifies itself proves nothing to somebody who does not trust the page: whoever could change the events could change the script and the keys, too.
Get the keys above from somewhere else, compare them, and verify the same evidence ${about.file.endsWith('.json') ? 'from its export as JSON' : 'from this file, of which nothing but its JSON is read,'} with a program of your own:</p>
<pre>${escaped(command)}</pre>
<p>Each event is proven to be in the log. That no other event was left out of this page only the whole log can show:
<code>agentgate evidence verify</code> on a copy of it.</p>
</main>
<script type="application/json" id="excerpt">${asData(excerpt)}</script>
<script>${script}</script>
</body>
</html>
`;
};
