// English words for what tools do and what they do it to. They serve two ends: what a tool does where nobody said, and whether
// the user's purpose asks for such a thing. A word that is missing here costs an approval, never a pass.

const list = (words: string): ReadonlySet<string> => new Set(words.split(/\s+/));

/** Verbs by what they do. `create` and `change` are both writing; which of them tells tools apart. */
export const verbs = {
  read: list(
    'get list read search find show view lookup look query check describe count retrieve stat tree head tail grep is has current summarize summarise tell display inspect browse preview analyze analyse compare rank select explain calculate compute verify validate test diff status log whoami ping history exists recent top latest filter scan',
  ),
  create: list(
    'create make add new set generate write register prepare draft build start open put save insert arrange organize organise compose produce plan schedule book reserve upload copy clone fork init duplicate suggest store import block',
  ),
  change: list(
    'update edit modify change adjust set reschedule move rename correct fix extend postpone shift append add put insert attach mark complete include increase decrease raise lower assign upsert merge commit push replace sync convert archive pin star label tag toggle enable disable configure patch restore undo finish resolve assign lock unlock snooze delay amend renew customize fill rotate regenerate accept confirm',
  ),
  send: list(
    'send email mail message dm reply respond answer forward notify post publish tweet comment announce text inform contact submit broadcast deliver share relay whisper alert tell ask remind greet welcome thank congratulate apologize apologise',
  ),
  pay: list(
    'pay transfer wire refund reimburse remit donate purchase buy checkout withdraw deposit repay settle spend tip',
  ),
  delete: list(
    'delete remove erase purge drop cancel destroy wipe trash unlink rm clear revoke uninstall kick ban unsubscribe terminate discard empty reset truncate kill leave dismiss decline delist',
  ),
  permit: list(
    'share invite grant allow permit authorize authorise promote chmod chown enroll unshare expose subscribe follow join',
  ),
  execute: list(
    'run execute exec eval spawn shell bash invoke deploy install restart launch trigger stop build compile call',
  ),
  fetch: list('fetch browse visit crawl scrape download navigate goto curl request open'),
} as const;
export type VerbGroup = keyof typeof verbs;

/** Nouns that name the same kind of thing. */
export const things = {
  money: list(
    'money payment transaction transfer bill invoice rent fund funds order amount fee cost price difference salary subscription deposit loan debt refund debit credit balance usd eur dollar dollars euro euros tip purchase',
  ),
  mail: list('email mail inbox message newsletter e-mail recipient cc bcc'),
  chat: list('message dm slack chat text inbox post announcement greeting conversation thread note'),
  event: list(
    'event meeting appointment calendar lunch dinner breakfast call reminder session class trip reunion invitation invite participant attendee booking slot visit party checkup check-up interview',
  ),
  file: list(
    'file document doc folder drive list note spreadsheet sheet report attachment directory path docx xlsx pdf txt content minutes presentation',
  ),
  person: list(
    'user member account profile info information address detail details contact person name phone people employee intern customer client',
  ),
  group: list('channel group workspace team room slack organization organisation server'),
  page: list('webpage page website site url link article post blog web www http https browser internet online'),
  hotel: list('hotel room stay accommodation night lodging apartment'),
  restaurant: list('restaurant table dinner lunch food meal'),
  car: list('car rental vehicle company'),
  flight: list('flight ticket plane train bus trip travel'),
  task: list('task todo issue ticket item step project card'),
  code: list('repository repo branch commit code pull request issue release package'),
  record: list('record row table database entry db query data'),
  secret: list('password passcode pin credential credentials secret token key 2fa mfa otp passphrase login'),
} as const;
export type Thing = keyof typeof things;

/** Words that are verbs only in a verb's place: "the transfer", "in an email". */
export const nounsToo = list(
  'email mail message dm text post comment share order transfer change book charge deposit run call answer request plan schedule list log order purchase set copy start build test note record check tip wire permit order reply contact notify label star pin lock view show look delay draft mark visit trip need drop reset plan update forward commit push patch sync release import clone fork put open new is has exists recent top latest current history block welcome thank',
);

/** Verbs that say by themselves what they are about. */
export const impliedThings: Readonly<Record<string, readonly Thing[]>> = {
  pay: ['money'],
  refund: ['money'],
  reimburse: ['money'],
  repay: ['money'],
  wire: ['money'],
  donate: ['money'],
  transfer: ['money'],
  remit: ['money'],
  email: ['mail'],
  mail: ['mail'],
  dm: ['chat'],
  message: ['chat', 'mail'],
  text: ['chat'],
  reply: ['mail', 'chat'],
  respond: ['mail', 'chat'],
  forward: ['mail', 'chat'],
  send: ['mail', 'chat'],
  tell: ['chat'],
  post: ['chat', 'page'],
  publish: ['page', 'chat'],
  invite: ['group', 'person', 'event'],
  schedule: ['event'],
  reschedule: ['event'],
  postpone: ['event'],
  reserve: ['hotel', 'restaurant', 'car', 'flight'],
  book: ['hotel', 'restaurant', 'car', 'flight', 'event'],
  visit: ['page'],
  browse: ['page'],
};

export const wordsFor = (text: string): string[] =>
  text
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .match(/[\p{L}\p{N}][\p{L}\p{N}'’-]*/gu) ?? [];

/** A word without the ending that grammar put there. Words stay words: it is compared with the lists above only. */
export const singular = (word: string): string =>
  word.length > 4 && word.endsWith('ies')
    ? `${word.slice(0, -3)}y`
    : word.length > 4 && /(?:s|x|ch|sh)es$/.test(word)
      ? word.slice(0, -2)
      : word.length > 3 && word.endsWith('s') && !word.endsWith('ss')
        ? word.slice(0, -1)
        : word;

export const thingsIn = (words: readonly string[]): Set<Thing> => {
  const found = new Set<Thing>();
  for (const word of words)
    for (const [thing, names] of Object.entries(things))
      if (names.has(word) || names.has(singular(word))) found.add(thing as Thing);
  return found;
};
