import pc from 'picocolors';
import { describe, expect, test } from 'vitest';
import { reportHtml } from '../../src/policy/replay-html.ts';
import { tellReport } from '../../src/policy/replay-text.ts';
import { report } from './report.ts';

const madeAt = '2026-11-25T08:00:00.000Z';
const hostile = '<script>alert(1)</script>"\'&\u202e';
const withHostile = () => {
  const [example] = report().examples.denied ?? [];
  if (!example) throw new Error('no example');
  const one = { ...example, tool: hostile, now: { ...example.now, reason: hostile, rule: hostile } };
  return report({
    groups: [{ change: 'denied', rule: hostile, tenant: 'default', agent: 'demo', count: 1 }],
    examples: { denied: [one] },
  });
};

describe('the report as HTML', () => {
  test('needs nothing from elsewhere and runs nothing', () => {
    const html = reportHtml(report(), madeAt);
    expect(html).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
    expect(html).not.toMatch(/<(script|link|img|iframe|form)\b|\bsrc=|\bhref=|url\(/i);
  });

  test('shows an attacker’s words as words, and what is invisible', () => {
    const html = reportHtml(withHostile(), madeAt);
    expect(html).not.toContain('<script>');
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\\u{202e}');
    expect(html).not.toContain('\u202e');
  });

  test('names its language, heads its columns, captions its tables, and says by words what it says by colour', () => {
    const html = reportHtml(report(), madeAt);
    expect(html).toMatch(/<html lang="en">/);
    const tables = html.match(/<table>.*?<\/table>/gs) ?? [];
    expect(tables).toHaveLength(3);
    for (const table of tables) expect(table).toMatch(/<caption>[^<]+<\/caption>\s*<thead><tr><th scope="col"/);
    for (const words of ['would now be denied', 'would now be held for approval', 'would now be allowed'])
      expect(html).toContain(words);
  });

  test('says what it does not say: calls that were not replayed, and why', () => {
    const html = reportHtml(report({ unfaithful: { calls: 20, because: { memory: 18 } } }), madeAt);
    expect(html).toContain('<code>KILLED_AGENT</code>');
    expect(html).toContain('what its session saw before is in no event, and the pack provenance asks for it');
    expect(reportHtml({ ...report(), refused: 2 }, madeAt)).toContain('their seal is not good');
  });
});

test('the report as text tells the same numbers', () => {
  const text = tellReport(report(), pc.createColors(false));
  expect(text).toMatch(/14 would now be denied\n +4 would now be held for approval\n +2 would now be allowed/);
  expect(text).toContain('14 not decided by policy then: 3 KILLED_AGENT, 11 RATE_LIMITED');
  expect(text).toContain('18: what its session saw before');
  expect(tellReport(withHostile(), pc.createColors(false))).not.toContain('\u202e');
});
