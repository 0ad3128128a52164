import { pathFlag } from './path-flag.ts';

/** The model of a command that runs one as it is. */
export const modelFlag = pathFlag({
  description:
    'checkpoint directory, folder of a run (its best checkpoint), global_step_N, or an id on the hub',
  required: true,
});
