import { argv } from 'node:process';
import { homeHolder } from './home-lock.ts';
import { endLeftovers } from './pid-files.ts';
import { serverNames } from './server-names.ts';

// Run by the guard after an `up` died without a word. A new `up` that is already there does this itself.
const home = argv[2];
if (home !== undefined && homeHolder(home) === undefined) await endLeftovers(home, serverNames);
