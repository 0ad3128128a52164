import { Init } from './init.ts';

/** Every command, by the name it is called with. */
export const commands = { init: Init };
