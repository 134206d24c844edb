import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accepts, compareVersions, findVersion } from './version.mjs';

test('finds the version in what real programs print', () => {
  assert.equal(findVersion('nats-server: v2.15.2\n'), '2.15.2');
  assert.equal(findVersion('Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64'), '7.0.15');
  assert.equal(findVersion('Version: 1.22.2\nGo Version: go1.26.8'), '1.22.2');
  assert.equal(findVersion('nats-server: v2.15.0-RC.1'), '2.15.0-RC.1');
  assert.equal(findVersion('command not found'), undefined);
});

test('compares by number, not by letter', () => {
  assert.ok(compareVersions('2.9.10', '2.14.4') < 0);
  assert.ok(compareVersions('2.15.0', '2.14.10') > 0);
  assert.equal(compareVersions('7.0.15', '7.0.15'), 0);
});

test('takes a pre-release as older than its release', () => {
  assert.ok(compareVersions('2.14.4-RC.1', '2.14.4') < 0);
  assert.ok(compareVersions('2.14.5-RC.1', '2.14.4') > 0);
});

test('accepts the floor and above, or exactly the one version that is pinned', () => {
  assert.ok(accepts({ floor: '2.14.4' }, '2.14.4'));
  assert.ok(!accepts({ floor: '2.14.4' }, '2.14.3'));
  assert.ok(accepts({ exactly: '1.22.2' }, '1.22.2'));
  assert.ok(!accepts({ exactly: '1.22.2' }, '1.22.3'));
});
