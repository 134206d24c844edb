import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { CliError } from '../context.ts';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const printMs = 120_000;
/** Time of the page's own, in which it verifies itself: printing waits for its work, not for the clock. */
const budgetMs = 60_000;

export const findChromium = (path = ''): string | undefined =>
  path
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find((file) => existsSync(file));

/** A page as a headless Chromium prints it, verified. Throws CliError where there is none. */
export const printPdf = async (page: string, path: string | undefined): Promise<Uint8Array> => {
  const chromium = findChromium(path);
  if (chromium === undefined)
    throw new CliError(
      'there is no Chromium on PATH to print with: export --format html, and print that page in a browser',
    );
  const work = mkdtempSync(join(tmpdir(), 'agentgate-print-'));
  try {
    const file = join(work, 'page.html');
    const out = join(work, 'page.pdf');
    writeFileSync(file, page);
    const flags = [
      '--headless',
      '--disable-gpu',
      '--no-pdf-header-footer',
      `--user-data-dir=${join(work, 'profile')}`,
      `--virtual-time-budget=${budgetMs}`,
      // Chromium's sandbox refuses root. The page has no script but ours, and its policy lets it load nothing.
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ];
    await promisify(execFile)(chromium, [...flags, `--print-to-pdf=${out}`, pathToFileURL(file).href], {
      timeout: printMs,
    });
    if (!existsSync(out)) throw new CliError(`${chromium} printed nothing`);
    return readFileSync(out);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${chromium} could not print: ${(error as Error).message.split('\n')[0]}`, { cause: error });
  } finally {
    rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  }
};
