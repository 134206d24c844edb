// The project's own release archive, for the platforms whose SHA-256 is pinned.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { memberOfTarGz } from './archive.mjs';
import { download } from './download.mjs';

export const releaseSource = (context, pin) => ({
  what: `the official release ${pin.version}`,
  get: async (folder) => {
    const pinned = pin.sha256[context.platform];
    if (pinned === undefined) throw new Error(`no pinned archive for ${context.platform}`);
    const named = (pattern) => pattern.replaceAll('{platform}', context.platform);
    const archive = await download(context.fetch, named(pin.url), { pinned });
    const bytes = memberOfTarGz(archive, named(pin.member));
    if (bytes === undefined) throw new Error(`the archive has no ${named(pin.member)}`);
    const file = join(folder, 'program');
    await writeFile(file, bytes);
    return { file };
  },
});
