// What a page shows of an entry. Made twice, by whoever exports it and in the browser: the page is good only where both agree.

const show = (value) => (typeof value === 'string' ? value : '');
const fields = (value) => (value !== null && typeof value === 'object' ? value : {});
/** Signed text may still turn a line around, or hide in it. */
const plain = (text) => text.replace(/[\p{Cc}\p{Cf}]/gu, (c) => (c === '\n' ? c : '·'));
const marks = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
export const escaped = (text) => text.replace(/[&<>"']/g, (c) => marks[c]);

export const cellsOf = (index, event) => {
  const data = fields(event.data);
  const scope = fields(data.scope);
  const decision = fields(data.decision);
  const about =
    show(data.tool) ||
    [show(scope.kind), show(scope.id)].filter(Boolean).join(' ') ||
    show(data.lease) ||
    show(event.subject);
  const outcome = [show(data.outcome) || show(decision.action), show(data.code) || show(decision.code)]
    .filter(Boolean)
    .join(', ');
  return {
    index: String(index),
    time: plain(show(event.time)),
    type: plain(
      show(event.type)
        .replace(/^agentgate\./, '')
        .replace(/\.v1$/, ''),
    ),
    who: plain([show(event.agent), show(event.session)].filter(Boolean).join('\n') || show(event.source)),
    about: plain(about),
    outcome: plain(outcome) || '–',
    data: plain(JSON.stringify(data, null, 1)),
  };
};

/** The two rows of an entry. */
export const rowsOf = (index, event) => {
  const cells = cellsOf(index, event);
  const cell = (name) => `<td role="cell" data-cell="${name}">${escaped(cells[name])}</td>`;
  return `<tr role="row" data-index="${index}"><th role="rowheader" scope="row" data-cell="index">${index}</th>${cell('time')}${cell('type')}${cell('who')}${cell('about')}${cell('outcome')}<td role="cell" data-cell="verdict">not verified yet</td></tr>
<tr role="row" class="data"><td></td><td role="cell" colspan="6"><details><summary>data of entry ${index}</summary><pre data-cell="data">${escaped(cells.data)}</pre></details></td></tr>`;
};
