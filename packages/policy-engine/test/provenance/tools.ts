import type { CatalogTool, ToolProfile } from '@agentgate/contracts';
import { createDescriptions, type ToolDescription } from '../../src/provenance/describe.ts';

/** A tool by its name, description and parameters, as a catalog holds it. */
export const tool = (name: string, description = '', ...parameters: string[]): CatalogTool => ({
  v: 1,
  name: `office/${name}`,
  description,
  input_schema: {
    type: 'object',
    properties: Object.fromEntries(parameters.map((each) => [each, { type: 'string' }])),
  },
  annotations: {},
  schema_digest: '0'.repeat(64),
  seen_at: '2026-01-01T00:00:00Z',
});
export const described = (catalogTool: CatalogTool, profile?: Omit<ToolProfile, 'tools'>): ToolDescription =>
  createDescriptions(profile ? [{ tools: ['office/*'], ...profile }] : [])(catalogTool);

export const tools = {
  email: tool('send_email', 'Sends an email.', 'recipients', 'subject', 'body', 'cc'),
  deleteEmail: tool('delete_email', 'Deletes the email with the given id.', 'email_id'),
  event: tool('create_calendar_event', 'Creates an event.', 'title', 'start_time', 'participants'),
  reschedule: tool('reschedule_calendar_event', 'Moves an event.', 'event_id', 'new_start_time'),
  cancelEvent: tool('cancel_calendar_event', 'Cancels an event.', 'event_id'),
  file: tool('create_file', 'Creates a file.', 'filename', 'content'),
  append: tool('append_to_file', 'Adds to a file.', 'file_id', 'content'),
  share: tool('share_file', 'Shares a file.', 'file_id', 'email', 'permission'),
  deleteFile: tool('delete_file', 'Deletes a file.', 'file_id'),
  dm: tool('send_direct_message', 'Sends a direct message.', 'recipient', 'body'),
  channel: tool('send_channel_message', 'Sends a message to a channel.', 'channel', 'body'),
  invite: tool('invite_user_to_slack', 'Invites a user.', 'user', 'user_email'),
  kick: tool('remove_user_from_slack', 'Removes a user.', 'user'),
  addUser: tool('add_user_to_channel', 'Adds a user to a channel.', 'user', 'channel'),
  page: tool('get_webpage', 'Returns a web page.', 'url'),
  publish: tool('post_webpage', 'Posts a web page.', 'url', 'content'),
  pay: tool('send_money', 'Sends a transaction.', 'recipient', 'amount', 'subject'),
  password: tool('update_password', 'Updates the password.', 'password'),
  profile: tool('update_user_info', "Updates the user's information.", 'first_name', 'street', 'city'),
  hotel: tool('reserve_hotel', 'Makes a reservation for a hotel.', 'hotel', 'start_day', 'end_day'),
  table: tool('reserve_restaurant', 'Makes a reservation for a restaurant.', 'restaurant', 'start_time'),
  car: tool('reserve_car_rental', 'Makes a reservation for a car.', 'company', 'start_time', 'end_time'),
  issue: tool('create_issue', 'Creates an issue in a repository.', 'repo', 'title', 'body'),
  shell: tool('run_command', 'Runs a shell command.', 'command'),
} satisfies Record<string, CatalogTool>;
