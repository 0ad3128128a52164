/** Keys of `curriculum`: the stages of a run, and the rules that end them. */
import type * as t from 'io-ts';
import { about, closed, freeForm, orNull, recordOf, withDefault } from '../check/codec.ts';
import { finite, intFrom, matching, number, positiveInt, text } from '../check/scalars.ts';

const share = number('number in (0, 1)', (value) => value > 0 && value < 1);
const weight = number('number in (0, 1]', (value) => value > 0 && value <= 1);
const stageName = matching('letters, digits, dots, dashes and underscores', /^[\w.-]+$/);

/** Rule that ends a stage: the running mean of a metric passes a threshold. */
export const Advance = closed({
  metric: about('A metric of `metrics.jsonl`, like `reward/accuracy` or `val/reward_score`.', text),
  above: about('The running mean has to reach this.', orNull(finite)),
  below: about('Or has to fall to this.', orNull(finite)),
  emaAlpha: about('Weight of a new value in the running mean.', withDefault(weight, 0.2)),
  minSteps: about('Steps to take in any case.', withDefault(intFrom(0), 1)),
});
export interface Advance extends t.TypeOf<typeof Advance> {}

/** `curriculum[]`: one stage of a run, described by how it differs from the rest of the file. */
export const Stage = closed({
  name: about("Names the stage's folder, and the stage for `mix`.", stageName),
  data: about('Keys laid over `data`.', withDefault(freeForm, {})),
  reward: about('Keys laid over `worker.reward`.', withDefault(freeForm, {})),
  epochs: about('Passes over its data; null takes `trainer.total_epochs`.', orNull(positiveInt)),
  steps: about('Steps at most; overrides the epochs.', orNull(positiveInt)),
  advance: about('Ends the stage before its steps are taken.', orNull(Advance)),
  mix: about(
    "Earlier stages whose data and reward go on, each with its share of every step's prompts.",
    withDefault(recordOf(share, 'a mapping of stages to shares'), {}),
  ),
  overrides: about('Any other keys, laid over the whole config.', withDefault(freeForm, {})),
});
export interface Stage extends t.TypeOf<typeof Stage> {}
