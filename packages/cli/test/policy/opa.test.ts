import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type CliContext, createContext } from '../../src/context.ts';
import { compileRego, problemsOf, testRego } from '../../src/policy/opa.ts';

// What is said where opa is not here, and of what opa says. That it is the real one that runs, test/e2e/policy-rego.test.ts shows.

const dir = mkdtempSync(join(tmpdir(), 'agentgate-opa-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const folderOf = (...files: string[]) => {
  const folder = mkdtempSync(join(dir, 'rego-'));
  for (const file of files) writeFileSync(join(folder, file), 'package agentgate\n');
  return folder;
};
const bare: CliContext = { ...createContext({}), root: dir, environment: { PATH: '/nowhere' } };
const how = 'and opa is not here: npm run setup -- --with-opa, or put it on PATH';

describe('where opa is not here', () => {
  test('Rego tests that cannot be run are an error, and not silence', async () => {
    const folder = folderOf('a.rego', 'a_test.rego');
    await expect(testRego(bare, folder)).rejects.toThrow(
      `${folder} holds Rego tests (1 files ending in _test.rego), ${how}; --no-rego leaves them out`,
    );
  });
  test('a folder without Rego tests needs none', async () => {
    expect(await testRego(bare, folderOf('a.rego'))).toBeUndefined();
  });
  test('nothing is compiled', async () => {
    const folder = folderOf('a.rego');
    await expect(compileRego(bare, folder)).rejects.toThrow(`${folder} has to be compiled, ${how}`);
    const none = folderOf('a_test.rego');
    await expect(compileRego(bare, none)).rejects.toThrow(`${none}: holds no Rego`);
  });
});

test('of what opa says the lines that name a file stay, as they stand in the folder, and not too many', () => {
  const said = `error: load error: 12 errors occurred during loading:\n${Array.from({ length: 12 }, (_, i) => `/x/p/a.rego:${i}: rego_parse_error: no\n\tdecision := {\n`).join('')}`;
  const told = problemsOf('/x/p', said).split('\n  ');
  expect(told).toHaveLength(9);
  expect(told[0]).toBe('a.rego:0: rego_parse_error: no');
  expect(told[8]).toBe('and 4 more');
  expect(problemsOf('/x/p', 'error: 1 error occurred: /x/p/a.rego:3: rego_type_error: undefined function f\n')).toBe(
    'a.rego:3: rego_type_error: undefined function f',
  );
  expect(problemsOf('/x/p', 'error: entrypoint "agentgate/explain" does not refer to a rule\n')).toBe(
    'entrypoint "agentgate/explain" does not refer to a rule',
  );
});
