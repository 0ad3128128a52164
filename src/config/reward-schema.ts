/** Keys of `worker.reward`: reward functions, reward models, and the gate of a batch. */
import type * as t from 'io-ts';
import { about, closed, freeForm, listOf, orNull, section, withDefault } from '../check/codec.ts';
import { JudgeSettings } from './judge-schema.ts';
import { above, bool, finite, matching, oneOf, positiveInt, text } from '../check/scalars.ts';

/** `worker.reward.gate`: when bonuses are added to a base reward, decided once for a whole batch. */
export const Gate = section({
  rule: about(
    'cxmind: `ema` pays bonuses only while the batch score is not falling, `always` in every batch, `none` leaves ' +
      "`overall` as it is; null is the built-in's own rule, for a file that of the built-in whose parts it returns.",
    orNull(oneOf('ema', 'always', 'none')),
  ),
  key: about("cxmind: part whose batch mean decides; null is the built-in's.", orNull(text)),
  bonus: about(
    "cxmind: parts added to `base_reward`; null is the built-in's.",
    orNull(listOf(text)),
  ),
});

export interface Gate extends t.TypeOf<typeof Gate> {}

/** `worker.reward.reward_functions[].reward_model`: a network with a scalar head that scores prompt and response. */
const RewardModel = closed({
  modelPath: about(
    'cxmind: Hugging Face directory of a `*ForSequenceClassification` with one label, its tokenizer and chat template.',
    text,
  ),
});

/** `worker.reward.reward_functions[]`: one reward of several. */
export const RewardSource = closed({
  name: about(
    'cxmind: names its actors, and its metrics `reward/<name>/<part>`.',
    matching('letters, digits, dashes and underscores', /^[\w-]+$/),
  ),
  weight: about(
    "cxmind: what its `overall` is multiplied by in the sum, one of TRL's `reward_weights`.",
    withDefault(finite, 1),
  ),
  rewardFunction: about('cxmind: `FILE[:FUNC]`, or the name of a built-in reward.', orNull(text)),
  rewardFunctionKwargs: about('cxmind: named arguments of every call.', withDefault(freeForm, {})),
  judge: about(
    'cxmind: a judge in place of a function: a model behind an OpenAI-compatible endpoint.',
    orNull(JudgeSettings),
  ),
  rewardModel: about(
    'cxmind: a reward model in place of a function: a sequence classifier with one label.',
    orNull(RewardModel),
  ),
  gate: about('cxmind: when its bonuses are paid; one of the rewards may have a gate.', Gate),
  rewardFunctionName: about(
    'Derived: the FUNC part, `main` when FILE stands alone, null for a built-in.',
    orNull(text),
  ),
});
export interface RewardSource extends t.TypeOf<typeof RewardSource> {}

/** `worker.reward`: how responses are scored. */
export const Reward = section({
  rewardType: about(
    "How a file's function is called where the file has no `REWARD_TYPE` of its own: with all responses, or one by one.",
    withDefault(oneOf('batch', 'sequential'), 'batch'),
  ),
  rewardFunction: about('`FILE[:FUNC]`, or the name of a built-in reward.', orNull(text)),
  rewardFunctionKwargs: about('Named arguments of every call.', withDefault(freeForm, {})),
  rewardFunctions: about(
    'cxmind: several rewards in place of `reward_function`, whose weighted sum is the reward; the other keys of `worker.reward` hold for all.',
    withDefault(listOf(RewardSource), []),
  ),
  skipSpecialTokens: about(
    'Decode responses without special tokens before scoring.',
    withDefault(bool, true),
  ),
  numCpus: about(
    'CPUs for each Python reward process: its OMP_NUM_THREADS, where the environment has none.',
    withDefault(positiveInt, 1),
  ),
  numWorkers: about('cxmind: reward actors; null is one a host.', orNull(positiveInt)),
  form: about(
    'cxmind: built-in rewards as they were released, or with their known slips repaired.',
    withDefault(oneOf('faithful', 'repaired'), 'repaired'),
  ),
  gate: about('cxmind: when bonuses are paid.', Gate),
  timeoutSeconds: about(
    'cxmind: longest one call of your function may take; then it is ended.',
    withDefault(above(0), 60),
  ),
  invalidResponses: about(
    'cxmind: whether a response that cannot be scored ends the run, or is left out of its group and counted.',
    withDefault(oneOf('fail', 'skip'), 'fail'),
  ),
  python: about('cxmind: interpreter of Python reward files.', withDefault(text, 'python3')),
  rewardFunctionName: about(
    'Derived: the FUNC part, `main` when FILE stands alone, null for a built-in.',
    orNull(text),
  ),
});
export interface Reward extends t.TypeOf<typeof Reward> {}
