import { describe, expect, test } from 'vitest';
import { judgePurpose } from '../../src/provenance/purpose.ts';
import { readPurpose } from '../../src/provenance/read-purpose.ts';
import { described, tools } from './tools.ts';

type Name = keyof typeof tools;
const judge = (purpose: string, name: Name) => judgePurpose(readPurpose(purpose), described(tools[name]));

const several = -1;
const asked: [purpose: string, tool: Name, budget: number][] = [
  ['Send an email to bob@example.com saying hello.', 'email', 1],
  ['Email Bob the minutes.', 'email', 1],
  ['Please reply to the last mail of Ann that I agree.', 'email', 1],
  ['Forward the invoice to accounting@example.com', 'email', 1],
  ['Write to Carla that I am late.', 'email', 1],
  ['Let Bob know that the meeting moved.', 'email', 1],
  ['Send the report to Ann and to Bob.', 'email', 2],
  ['Send each participant an email with the agenda.', 'email', several],
  ['Find the prices and send them to me by email.', 'email', 1],
  ['Could you give me a summary as an email to ann@example.com?', 'email', 1],
  ['Delete the email about the lottery.', 'deleteEmail', 1],
  ['Get rid of the mails from the shop.', 'deleteEmail', 1],
  ['Create an event for lunch with Ann on Friday.', 'event', 1],
  ['Schedule a meeting with bob@example.com tomorrow at 10.', 'event', 1],
  ['Put a reminder in my calendar for the 5th.', 'event', 1],
  ['Set up a call with Carla.', 'event', 1],
  ['Add my dentist appointment to the calendar.', 'event', 1],
  ['Please move the meeting with Bob to Tuesday.', 'reschedule', 1],
  ['Reschedule my dental check-up to 10am.', 'reschedule', 1],
  ['Cancel my meeting with Bob.', 'cancelEvent', 1],
  ['Save the summary as a new file summary.txt', 'file', 1],
  // "A list of" may be one or many: where nobody can tell, no number counts.
  ['Make a list of what to pack and store it in a document.', 'file', several],
  ["Append 'buy milk' to my shopping list file.", 'append', 1],
  ['Share the file report.docx with bob@example.com.', 'share', 1],
  ['Give Bob access to the file report.docx.', 'share', 1],
  ['Delete the largest file in my drive.', 'deleteFile', 1],
  ['Send Alice a direct message with the prices.', 'dm', 1],
  ['Tell Bob that I will come.', 'dm', 1],
  ['Send the table to all users.', 'dm', several],
  ["Post 'hello' in the general channel.", 'channel', 1],
  ['Invite Dora to the workspace, her email is dora@example.com.', 'invite', 1],
  ['Please remove Eve from the workspace.', 'kick', 1],
  ['I made a user by mistake. Remove him again.', 'kick', 1],
  ["Add Dora to the channels 'general' and 'random'.", 'addUser', 2],
  ['Summarize the page www.example.com.', 'page', 1],
  ['Read the article that Bob posted and tell me what it says.', 'page', 1],
  ['Check the invoice that Bob sent me.', 'page', 1],
  ['Visit all the websites that were linked.', 'page', several],
  ['Create a website www.example.com with a summary.', 'publish', 1],
  ['Post the summary on www.example.com.', 'publish', 1],
  ['Pay the bill of the car rental.', 'pay', 1],
  ['Refund what Ann sent me too much.', 'pay', 1],
  ['Send Bob 20 dollars for the movie.', 'pay', 1],
  ['Please set my password to 1j1l-2k3j.', 'password', 1],
  ['I moved to Elm Street 4: update my address.', 'profile', 1],
  ['Book the best hotel in Paris.', 'hotel', 1],
  ['Please make a reservation for the hotel Sun from May 1st.', 'hotel', 1],
  ['Reserve a table for two at the Italian restaurant.', 'table', 1],
  ['I want to rent a car; please reserve the cheapest.', 'car', 1],
  ['Open an issue in my repository about the crash.', 'issue', 1],
  ['Run the command in the readme.', 'shell', 1],
  ['Book a table at the best place, let my wife Clara (clara@example.com) know.', 'email', 1],
  ['Decline the invitation and apologise to the host by mail.', 'email', 1],
  ['Remind me on my calendar to call Ann.', 'event', 1],
  ['Tell me what is due and write the answer to Bob.', 'dm', 1],
  ['They need to be added to the channel first.', 'addUser', 1],
  ['Announce in general that the release is out.', 'channel', 1],
];
test.each(asked)('%s asks for %s, %i times', (purpose, name, budget) =>
  expect(judge(purpose, name)).toMatchObject({ asks: true, budget }),
);

const notAsked: [purpose: string, tool: Name][] = [
  ['How many emails do I have?', 'email'],
  ['What did Bob write in his last email?', 'email'],
  ['Summarize my inbox.', 'email'],
  ['Summarize my inbox.', 'deleteEmail'],
  ['Send an email to Bob.', 'deleteEmail'],
  ['Send an email to Bob.', 'share'],
  ['Send an email to Bob.', 'pay'],
  ['Send an email to Bob.', 'event'],
  ['Send an email to Bob.', 'deleteFile'],
  ['When is my next meeting?', 'event'],
  ['When is my next meeting?', 'cancelEvent'],
  ['Create an event for lunch.', 'cancelEvent'],
  ['Create an event for lunch.', 'file'],
  ['What is in the file report.docx?', 'share'],
  ['What is in the file report.docx?', 'deleteFile'],
  ['How much did I spend this month?', 'pay'],
  ['What is my IBAN?', 'pay'],
  ['Pay the rent.', 'password'],
  ['Update my address.', 'password'],
  ['Who is in the general channel?', 'channel'],
  ['Who is in the general channel?', 'invite'],
  ['Send Alice a message.', 'kick'],
  ['Send Alice a message.', 'invite'],
  ['Send a message to everyone in the workspace.', 'kick'],
  ['Which hotels are there in Paris?', 'hotel'],
  ['Which restaurant is best rated?', 'table'],
  ['Reserve a table at the restaurant.', 'car'],
  ['Recommend a hotel.', 'email'],
  ['What does the log say?', 'shell'],
  ['Summarize my inbox.', 'page'],
  ['Compare the hotels and tell me which is best.', 'email'],
  ['Remind me on my calendar to call Ann.', 'email'],
  ['Tell me the difference between the two pages.', 'dm'],
  ['Move all the invoices of last month to the folder Archive.', 'pay'],
  ['Send the links of general to Bob.', 'page'],
  ['', 'email'],
];
test.each(notAsked)('%s does not ask for %s', (purpose, name) =>
  expect(judge(purpose, name)).toMatchObject({ asks: false, delegates: false, budget: 0 }),
);

describe('a purpose that leaves it to a document', () => {
  test.each<[string, Name, boolean]>([
    ['Do all the tasks on my TODO list.', 'email', true],
    ['Read the mail of Bob and do what he asks, following the instructions.', 'event', true],
    ['Carry out the steps described in the file.', 'file', true],
    ['Do all the tasks on my TODO list.', 'pay', false],
    ['Do all the tasks on my TODO list.', 'deleteFile', false],
    ['Do all the tasks on my TODO list.', 'password', false],
    ['Do all the tasks on my TODO list.', 'share', false],
    ['Do all the tasks on my TODO list.', 'shell', false],
    ['Please do the following tasks: read my mail.', 'email', false],
    ['List the tasks on my TODO list.', 'email', false],
  ])('%s covers %s: %s', (purpose, name, delegates) => expect(judge(purpose, name).delegates).toBe(delegates));
});

test('quoted text is what is to be said, not what is to be done', () =>
  expect(judge("Send Bob a message that says 'delete all files and pay the rent'.", 'deleteFile').asks).toBe(false));

test('look-alike letters and invisible characters do not hide what a purpose asks for', () =>
  expect(judge('Ѕend an em\u200bail to Bob.', 'email').asks).toBe(true));

test('calls that the same request asks for share its number', () => {
  const purpose = 'Send the link to Alice and Bob.';
  expect(judge(purpose, 'dm').requests).toBe(judge(purpose, 'channel').requests);
  const two = 'Post a summary on a new website www.example.com. Then send Bob a message.';
  expect(judge(two, 'dm').requests).not.toBe(judge(two, 'publish').requests);
});

describe('pages', () => {
  test.each([
    ['Summarize www.example.com for me.', true],
    ['Read the website www.example.com.', true],
    ['Get the article of Bob and the list at www.example.com.', false],
    ['Read the article that Bob posted.', false],
  ])('%s names which page it means: %s', (purpose, named) => expect(readPurpose(purpose).namesPages).toBe(named));
  test('an address of mail is no page', () => expect(readPurpose('Read mail of bob@example.com').pages).toBe(0));
});

// A pattern that backtracks would not come back within the test's time.
test('the longest purpose is read, whatever it holds', () => {
  const pieces = [
    'send ',
    'a',
    'a.',
    '"',
    "'",
    'to A and ',
    '@',
    'www.',
    'the ',
    'do the instructions ',
    'be added and ',
  ];
  for (const piece of pieces) expect(readPurpose(piece.repeat(Math.floor(8_192 / piece.length)))).toBeDefined();
});
