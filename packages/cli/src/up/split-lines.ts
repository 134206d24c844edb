/** Cuts a stream of text into lines. What exceeds `limit` characters of a line is dropped, so that a line without end takes no memory. */
export const splitLines = (limit: number, onLine: (line: string) => void): ((chunk: string) => void) => {
  let begun = '';
  return (chunk) => {
    const parts = chunk.split('\n');
    for (const [i, part] of parts.entries()) {
      const room = limit - begun.length;
      begun += part.length > room ? part.slice(0, Math.max(0, room)) : part;
      if (i === parts.length - 1) return;
      onLine(begun.endsWith('\r') ? begun.slice(0, -1) : begun);
      begun = '';
    }
  };
};
