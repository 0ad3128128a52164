import { trainTiny } from './tiny-run.ts';

/** Trains a tiny run in a process that may be killed. Its arguments are the demo, the run and further items. */
const [demo, run, ...items] = process.argv.slice(2);
await trainTiny(demo!, run!, items);
