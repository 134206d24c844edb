import { describe, expect, test } from 'vitest';
import { agentPermissions, permissionsOf, personPermissions, serviceUsers } from '../src/index.ts';

const may = (subjects: string[], subject: string) =>
  subjects.some((pattern) => {
    const p = pattern.split('.');
    const s = subject.split('.');
    return (
      p.every((token, i) => token === '>' || token === '*' || token === s[i]) &&
      (p.at(-1) === '>' ? s.length >= p.length : s.length === p.length)
    );
  });

describe('permissions', () => {
  test('let nobody at runtime change or delete a stream or a message', () => {
    const forbidden = ['CREATE', 'UPDATE', 'DELETE', 'PURGE', 'RESTORE', 'MSG.DELETE'].flatMap((verb) =>
      ['AUDIT', 'EVIDENCE', 'KILL', 'KV_LEASES'].map((s) => `$JS.API.STREAM.${verb}.${s}`),
    );
    const everybody = [
      ...serviceUsers().map((u) => u.pub),
      agentPermissions('demo').pub,
      ...(['operator', 'approver', 'auditor'] as const).map((role) => personPermissions('p', role).pub),
    ];
    for (const pub of everybody) for (const subject of forbidden) expect(may(pub, subject)).toBe(false);
  });

  test('let only policy hear what policy answers', () => {
    expect(
      serviceUsers()
        .filter((u) => may(u.sub, 'svc.v1.policy.decide'))
        .map((u) => u.user),
    ).toEqual(['policy']);
  });

  test('let nobody hear the subjects of evidence, so that only the stream can acknowledge', () => {
    expect(serviceUsers().filter((u) => u.sub.some((s) => s.startsWith('events.')))).toEqual([]);
  });

  test('let a service write its own evidence only', () => {
    expect(permissionsOf('ingress').pub.filter((s) => s.startsWith('events.'))).toEqual(['events.v1.ingress']);
  });

  test('let only audit write what is sealed, and the notifier take it by its own consumer alone', () => {
    const mayWrite = serviceUsers().filter((u) => may(u.pub, 'evidence.v1.default.agentgate.kill.lifted.v1'));
    expect(mayWrite.map((u) => u.user)).toEqual(['audit-log']);
    const { pub = [] } = serviceUsers().find((u) => u.user === 'notifier-evidence') ?? {};
    expect(pub.filter((subject) => subject.includes('EVIDENCE'))).toEqual([
      '$JS.API.STREAM.INFO.EVIDENCE',
      '$JS.API.CONSUMER.INFO.EVIDENCE.notifier',
      '$JS.API.CONSUMER.MSG.NEXT.EVIDENCE.notifier',
      '$JS.ACK.EVIDENCE.notifier.>',
    ]);
  });

  test('let only the kill-switch write orders and vouch for them', () => {
    for (const subject of ['kill.v1.x', 'svc.v1.kill.pulse', 'svc.v1.kill.hold', 'svc.v1.points.contain'])
      expect(
        serviceUsers()
          .filter((u) => may(u.pub, subject))
          .map((u) => u.user),
      ).toEqual(['kill-switch']);
  });

  test('let an agent say and hear its own only', () => {
    const { pub, sub } = agentPermissions('demo');
    expect(may(pub, 'agent.demo.call')).toBe(true);
    for (const subject of ['agent.other.call', 'svc.v1.policy.decide', '$JS.API.INFO', '_INBOX_ingress.a'])
      expect(may(pub, subject)).toBe(false);
    for (const subject of ['_INBOX_other.a', 'agent.demo.call', '>']) expect(may(sub, subject)).toBe(false);
  });
});
