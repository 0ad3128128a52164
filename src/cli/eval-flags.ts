import { Flags, type Interfaces } from '@oclif/core';
import { tasks } from '../evaluation/task.ts';
import { itemFlags } from './config-items.ts';
import { pathFlag } from './path-flag.ts';

/** The flags of `eval`. */
export const evalFlags = {
  ...itemFlags,
  task: Flags.string({
    description: 'kind of questions; by default closed where every reference comes to an option',
    options: [...tasks],
  }),
  limit: Flags.integer({ description: 'ask only the first rows of each file', min: 1 }),
  n: Flags.string({ description: 'answers to each question' }),
  temperature: Flags.string({ description: '0 takes the likeliest token' }),
  'top-p': Flags.string({ description: 'keep tokens up to this mass' }),
  'top-k': Flags.string({ description: 'keep this many tokens; -1 keeps all' }),
  seed: Flags.string({ description: 'seed of the sampler' }),
  'max-tokens': Flags.integer({ description: 'longest answer', min: 1 }),
  k: Flags.string({
    description: 'the k of pass@k; those above --n are left out',
    default: '1,2,4,8,16',
  }),
  judge: Flags.boolean({
    description:
      'let gpt-4o behind AZURE_OPENAI_ENDPOINT, _API_KEY and _API_VERSION judge open answers',
  }),
  out: pathFlag({
    description: "folder for the results; by default eval in the run's folder",
  }),
  report: Flags.boolean({ description: 'write report.html', default: true, allowNo: true }),
  'report-rows': Flags.integer({
    description: 'questions that the report shows, those with wrong answers first',
    default: 200,
    min: 0,
  }),
};

/** The same, as they are parsed. */
export type EvalFlags = Interfaces.InferredFlags<typeof evalFlags>;
