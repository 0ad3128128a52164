import { Generate } from './generate.ts';
import { Init } from './init.ts';
import { Score } from './score.ts';

/** Every command, by the name it is called with. */
export const commands = { generate: Generate, init: Init, score: Score };
