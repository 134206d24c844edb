import { describe, expect, test } from 'vitest';
import { profileOf } from '../../src/provenance/describe.ts';
import { described, tool } from './tools.ts';

test.each<[effects: string, name: string, parameters?: string[]]>([
  ['read', 'get_balance'],
  ['read', 'list_directory', ['path']],
  ['read', 'search_emails', ['query', 'sender']],
  ['read', 'read_text_file', ['path']],
  ['read', 'getUserInfo'],
  ['read', 'check_restaurant_opening_hours', ['restaurant_names']],
  ['read', 'describe_table', ['table']],
  ['read', 'git_log', ['repo_path']],
  ['fetch', 'get_webpage', ['url']],
  ['fetch', 'fetch', ['url', 'max_length']],
  ['fetch', 'browser_navigate', ['url']],
  ['fetch', 'download_file', ['link']],
  ['send', 'send_direct_message', ['recipient', 'body']],
  ['send', 'send_email', ['recipients', 'subject', 'body']],
  ['send', 'post_webpage', ['url', 'content']],
  ['send', 'reply_to_comment', ['comment_id', 'text']],
  ['send', 'publish', ['topic', 'body']],
  ['write', 'create_file', ['filename', 'content']],
  ['write', 'append_to_file', ['file_id', 'content']],
  ['write', 'reserve_hotel', ['hotel', 'start_day']],
  ['write', 'update_user_info', ['street']],
  ['write', 'frobnicate', ['x']],
  ['write', 'x'],
  ['write,send', 'create_calendar_event', ['title', 'participants']],
  ['payment', 'send_money', ['recipient', 'amount']],
  ['payment', 'schedule_transaction', ['recipient', 'amount']],
  ['payment', 'pay_invoice', ['invoice_id']],
  ['payment', 'refund', ['charge']],
  ['delete', 'delete_email', ['email_id']],
  ['delete', 'drop_table', ['table']],
  ['delete', 'cancel_calendar_event', ['event_id']],
  ['delete', 'rm', ['path']],
  ['credential', 'update_password', ['password']],
  ['credential', 'rotate_api_key', ['key']],
  ['permission', 'share_file', ['file_id', 'email']],
  ['permission', 'invite_user_to_slack', ['user', 'user_email']],
  ['permission', 'add_user_to_channel', ['user', 'channel']],
  ['permission', 'grant_access', ['user']],
  ['execute', 'run_command', ['command']],
  ['execute', 'execute_sql', ['sql']],
  ['execute', 'deploy', ['app']],
])('%s: %s', (effects, name, parameters = []) => {
  const { labels } = described(tool(name, '', ...parameters));
  for (const effect of effects.split(',')) expect(labels).toContain(effect);
  if (effects === 'read' || effects === 'fetch') expect(labels).toEqual([effects]);
  else expect(labels).not.toContain('read');
});

describe('what others say of a tool', () => {
  test('a description tells what a name does not', () =>
    expect(described(tool('inbox_42', 'Deletes all messages.')).labels).toContain('delete'));
  test('annotations add and never take away (MCP: they are hints)', () => {
    const harmless = { ...tool('delete_all'), annotations: { readOnlyHint: true, destructiveHint: false } };
    expect(described(harmless).labels).toContain('delete');
    const harmful = { ...tool('update_rows'), annotations: { destructiveHint: true } };
    expect(described(harmful).labels).toContain('delete');
  });
  test('the operator’s effects stand instead of inferred ones; labels of his own beside them', () => {
    expect(described(tool('frobnicate'), { labels: ['read'] })).toMatchObject({ labels: ['read'], acts: false });
    expect(described(tool('delete_x'), { labels: ['ours'] }).labels).toEqual(['ours', 'delete']);
  });
  test('the first entry that names a tool describes it', () => {
    const profiles = [
      { tools: ['a/read_*'], labels: ['first'] },
      { tools: ['*/*'], labels: ['second'] },
    ];
    expect(profileOf('a/read_x', profiles)?.labels).toEqual(['first']);
    expect(profileOf('a/write_x', profiles)?.labels).toEqual(['second']);
    expect(profileOf('a/b', [{ tools: ['b/*'] }])).toBeUndefined();
  });
  test('results of a tool taint unless it is trusted', () => {
    expect(described(tool('read_a')).taint).toEqual(['untrusted-read']);
    expect(described(tool('read_a'), { results: { trust: 'trusted' } }).taint).toEqual([]);
    const both = described(tool('read_a'), { results: { private: true }, taint: ['ours'] }).taint;
    expect([...both].sort()).toEqual(['ours', 'private-read', 'untrusted-read']);
  });
});
