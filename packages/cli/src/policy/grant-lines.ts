import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';

/** The line of each grant of agentgate.yaml, by its id. The text was read before: what is not in form is left out. */
export const grantLines = (source: string): Map<string, number> => {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines });
  const grants = document.get('grants');
  const found = new Map<string, number>();
  if (!isSeq(grants)) return found;
  for (const grant of grants.items) {
    if (!isMap(grant)) continue;
    const id = grant.get('id', true);
    if (isScalar(id)) found.set(String(id.value), lines.linePos(grant.range?.[0] ?? 0).line);
  }
  return found;
};
