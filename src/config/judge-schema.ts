import type * as t from 'io-ts';
import { about, closed, orNull, withDefault } from '../check/codec.ts';
import {
  above,
  atLeast,
  finite,
  intFrom,
  matching,
  oneOf,
  pattern,
  positiveInt,
  text,
} from '../check/scalars.ts';

/** `worker.reward.reward_functions[].judge`: a model behind an OpenAI-compatible endpoint that grades responses. */
export const JudgeSettings = closed({
  baseUrl: about(
    'cxmind: address of the endpoint, which `/chat/completions` follows.',
    matching('an address that begins with http:// or https://', /^https?:\/\/\S+$/),
  ),
  model: about('cxmind: name of the model that judges.', text),
  apiKeyEnv: about(
    'cxmind: name of the environment variable with the key; null sends no key.',
    orNull(matching('the name of an environment variable', /^[A-Za-z_]\w*$/)),
  ),
  systemPrompt: about('cxmind: system turn of every request; null is none.', orNull(text)),
  promptTemplate: about(
    'cxmind: Jinja template of the user turn, a file or the template itself, over `prompt`, `messages`, `columns`, `response`, `ground_truth` and `max_score`; null is one that asks for a score.',
    orNull(text),
  ),
  scorePattern: about(
    'cxmind: regular expression whose first group is the score in an answer; its last match counts, null is `Score: NUMBER`.',
    orNull(pattern),
  ),
  maxScore: about(
    'cxmind: highest score; the reward is the share of it.',
    withDefault(above(0), 10),
  ),
  temperature: about('cxmind: sampling temperature of the judge.', withDefault(atLeast(0), 0)),
  maxTokens: about('cxmind: tokens of its longest answer.', withDefault(positiveInt, 512)),
  maxConcurrency: about('cxmind: requests under way at a time.', withDefault(positiveInt, 16)),
  maxRetries: about(
    'cxmind: attempts after one that failed; delays double from 0.5 s unless the endpoint says `Retry-After`.',
    withDefault(intFrom(0), 5),
  ),
  timeoutSeconds: about('cxmind: longest one attempt may take.', withDefault(above(0), 60)),
  cacheSize: about(
    'cxmind: answers kept, so that a response is judged once; 0 keeps none.',
    withDefault(intFrom(0), 10000),
  ),
  cachePath: about('cxmind: file that keeps them from run to run; null is memory.', orNull(text)),
  onError: about(
    'cxmind: whether a response without a score is one that cannot be scored (`worker.reward.invalid_responses`), or gets `error_value`.',
    withDefault(oneOf('fail', 'value'), 'fail'),
  ),
  errorValue: about('cxmind: reward of such a response.', withDefault(finite, 0)),
  inputCostPerToken: about(
    'cxmind: price of a token of a request, for the metric `cost`.',
    withDefault(atLeast(0), 0),
  ),
  outputCostPerToken: about('cxmind: price of a token of an answer.', withDefault(atLeast(0), 0)),
});
export interface JudgeSettings extends t.TypeOf<typeof JudgeSettings> {}
