/** Keys of `worker.rollout`, and those of them that a validation may change. */
import type * as t from 'io-ts';
import {
  about,
  freeForm,
  listOf,
  oneOrMore,
  orNull,
  section,
  withDefault,
} from '../check/codec.ts';
import {
  above,
  atLeast,
  between,
  bool,
  int,
  intFrom,
  matching,
  number,
  pattern,
  positiveInt,
  text,
} from '../check/scalars.ts';
import { precision } from './compute.ts';
import { McpServer, MultiTurn } from './multi-turn-schema.ts';

const word = matching('a text that is not empty', /./s);
const topP = number('number in (0, 1]', (value) => value > 0 && value <= 1);

/** Form of responses. */
const StructuredOutputs = section({
  regex: about(
    'cxmind: regular expression that the whole response matches, as in `(yes|no)`.',
    orNull(pattern),
  ),
  json: about('cxmind: JSON schema that the response follows.', orNull(freeForm)),
});

const sampling = {
  n: about('Responses per prompt.', withDefault(positiveInt, 1)),
  temperature: about(
    'Sampling temperature; also divides the logits of every log-probability.',
    withDefault(atLeast(0), 1),
  ),
  topP: about('Keep the likeliest tokens up to this mass.', withDefault(topP, 1)),
  topK: about(
    'Keep this many of the likeliest tokens; -1 keeps all.',
    withDefault(intFrom(-1), -1),
  ),
  seed: about('Seed of the sampler.', withDefault(int, 1)),
  ignoreEos: about('Do not stop at the end-of-turn token.', withDefault(bool, false)),
  minP: about(
    "cxmind: as in vLLM; least probability of a token, as a share of the likeliest one's; 0 is off.",
    withDefault(between(0, 1), 0),
  ),
  repetitionPenalty: about(
    'cxmind: as in vLLM; divides positive logits of tokens that prompt or response have, and multiplies negative ones; 1 is off.',
    withDefault(above(0), 1),
  ),
  presencePenalty: about(
    'cxmind: as in vLLM; taken off the logits of tokens that the response has.',
    withDefault(between(-2, 2), 0),
  ),
  frequencyPenalty: about(
    'cxmind: as in vLLM; taken off the logit of a token for each time that the response has it.',
    withDefault(between(-2, 2), 0),
  ),
  badWords: about(
    'cxmind: as in vLLM; texts that a response never has.',
    withDefault(oneOrMore(word), []),
  ),
  structuredOutputs: about(
    'cxmind: as in vLLM; the form of every response, or of every turn of one.',
    StructuredOutputs,
  ),
};

/** The rollout keys that reach the sampler. */
export const Sampling = section(sampling);
export interface Sampling extends t.TypeOf<typeof Sampling> {}

/**
 * The keys that `val_override_config` may hold: those of `Sampling`, and `best_of`, which training has no use for, since
 * a policy is trained on what it samples and not on the best of it.
 */
export const ValidationSampling = section({
  ...sampling,
  bestOf: about(
    'cxmind: as in vLLM; responses that are sampled, of which the `n` whose tokens are likeliest are kept.',
    orNull(positiveInt),
  ),
});
export interface ValidationSampling extends t.TypeOf<typeof ValidationSampling> {}

/** `worker.rollout`: how responses are generated. */
export const Rollout = section({
  ...sampling,
  name: about('The engine that generates.', withDefault(text, 'vllm')),
  limitImages: about('Images a prompt may hold; 0 sets no limit.', withDefault(intFrom(0), 0)),
  dtype: about('Compute type of the GPU engine.', withDefault(precision, 'bf16')),
  gpuMemoryUtilization: about(
    "Share of a card's free memory that the cache of responses may take.",
    withDefault(between(0, 1), 0.6),
  ),
  enforceEager: about('Run without captured CUDA graphs.', withDefault(bool, false)),
  enableChunkedPrefill: about('Prefill long prompts in pieces.', withDefault(bool, false)),
  tensorParallelSize: about('GPUs that share one engine.', withDefault(positiveInt, 2)),
  maxModelLen: about(
    'Longest sequence of the engine; null is prompt plus response length.',
    orNull(positiveInt),
  ),
  maxNumBatchedTokens: about('Tokens of one engine step.', withDefault(positiveInt, 8192)),
  disableLogStats: about('Quiet engine.', withDefault(bool, true)),
  disableTqdm: about('No progress bar.', withDefault(bool, false)),
  valOverrideConfig: about(
    'Sampling keys laid over the above for validation, where `n` is 1 unless set here.',
    withDefault(freeForm, {}),
  ),
  numWorkers: about('cxmind: rollout actors; null is one a host.', orNull(positiveInt)),
  multiTurn: about('Several turns, with an environment between them.', MultiTurn),
  mcpServers: about(
    'cxmind: servers of the Model Context Protocol, whose tools the policy may call.',
    withDefault(listOf(McpServer), []),
  ),
  promptLength: about('Derived: `data.max_prompt_length`.', withDefault(int, -1)),
  responseLength: about('Derived: `data.max_response_length`.', withDefault(int, -1)),
  trustRemoteCode: about("Derived from the actor's model.", withDefault(bool, false)),
});
