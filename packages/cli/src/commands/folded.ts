/**
 * Breaks a text that begins in column `indent` at its spaces, so that it stays within the terminal and below its own beginning. A word that is
 * too long stays whole: an id has to be copied. As it is where `columns` is not known.
 */
export const folded = (text: string, indent: number, columns: number | undefined): string => {
  if (columns === undefined) return text;
  const room = Math.max(20, columns - indent);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > room) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`);
};
