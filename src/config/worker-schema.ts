import type * as t from 'io-ts';
import {
  about,
  freeForm,
  listOf,
  oneOrMore,
  orNull,
  pairOf,
  section,
  withDefault,
} from '../check/codec.ts';
import {
  above,
  atLeast,
  between,
  bool,
  finite,
  int,
  intFrom,
  keyOf,
  matching,
  number,
  oneOf,
  pattern,
  positiveInt,
  text,
} from '../check/scalars.ts';
import { klEstimators } from '../algorithms/kl.ts';
import { lossAverages } from '../algorithms/loss-average.ts';
import { policyLosses } from '../algorithms/policy-losses.ts';
import { lrSchedules } from '../algorithms/schedule.ts';
import { precision } from './compute.ts';
import { McpServer, MultiTurn } from './multi-turn-schema.ts';
import { Reward } from './reward-schema.ts';

const beta = number('number in [0, 1)', (value) => value >= 0 && value < 1);
const word = matching('a text that is not empty', /./s);
const topP = number('number in (0, 1]', (value) => value > 0 && value <= 1);

/** Estimator of the KL term against the reference model, token by token. */
export const klPenalty = oneOf(...keyOf(klEstimators).values, 'full');

/** Keys of the average of per-token losses. */
const lossAveraging = {
  lossAvgMode: about(
    "Average over tokens, or over sequences of token means; those of verl's `loss_agg_mode` do not depend on how a mini-batch is divided.",
    withDefault(keyOf(lossAverages), 'token'),
  ),
  lossScaleFactor: about(
    'cxmind: as in verl; constant that `seq-mean-token-sum-norm` divides the sum of a sequence by (Dr. GRPO); null is `data.max_response_length`.',
    orNull(positiveInt),
  ),
};

const Lora = section({
  rank: about('Rank of the adapters; 0 trains the weights themselves.', withDefault(intFrom(0), 0)),
  alpha: about('Scale of the adapters, divided by the rank.', withDefault(positiveInt, 64)),
  targetModules: about(
    '`all-linear`, every linear module but the output head and the routers of experts, or a comma list of the ends of names.',
    withDefault(text, 'all-linear'),
  ),
  excludeModules: about(
    'Regular expression of whole names of modules that are left alone: `.*visual.*`.',
    orNull(pattern),
  ),
});

/** `worker.{actor,critic}.model`: which checkpoint, and what of it is trained. */
export const Model = section({
  modelPath: about(
    "Hugging Face checkpoint directory, an id on the hub, a run's folder (its best checkpoint), or a `global_step_N`.",
    orNull(text),
  ),
  tokenizerPath: about('Directory of the tokenizer; null takes `model_path`.', orNull(text)),
  overrideConfig: about(
    "Keys laid over the checkpoint's `config.json`.",
    withDefault(freeForm, {}),
  ),
  enableGradientCheckpointing: about(
    'Recompute activations in the backward pass instead of keeping them.',
    withDefault(bool, true),
  ),
  trustRemoteCode: about(
    'Run code that a checkpoint brings; cxmind never does.',
    withDefault(bool, true),
  ),
  freezeVisionTower: about(
    'Leave the vision tower as it is: no gradients, no moments.',
    withDefault(bool, false),
  ),
  lora: about('Low-rank adapters.', Lora),
});

/** `worker.{actor,critic}.optim`: AdamW and its learning-rate schedule. */
export const Optim = section({
  lr: about('Peak learning rate.', withDefault(atLeast(0), 1e-6)),
  betas: about(
    'Decay of the first and second moment.',
    withDefault(pairOf(beta, 'two numbers in [0, 1)'), [0.9, 0.999]),
  ),
  weightDecay: about('Decoupled weight decay.', withDefault(atLeast(0), 1e-2)),
  strategy: about(
    '`adamw`, or `adamw_bf16` with bf16 moments and Kahan compensation.',
    withDefault(oneOf('adamw', 'adamw_bf16'), 'adamw'),
  ),
  lrWarmupRatio: about(
    'Share of `training_steps` spent warming up, truncated to whole steps.',
    withDefault(between(0, 1), 0),
  ),
  lrWarmupSteps: about('Warm-up steps; overrides the ratio.', orNull(intFrom(0))),
  minLrRatio: about(
    'Floor of the cosine schedule as a share of `lr`; null is 0.',
    orNull(between(0, 1)),
  ),
  warmupStyle: about(
    "CX-Mind's name of `lr_scheduler_type`; accepted and never read, there as here.",
    withDefault(text, 'constant'),
  ),
  lrSchedulerType: about(
    'Shape of the schedule after the warm-up.',
    withDefault(keyOf(lrSchedules), 'constant'),
  ),
  trainingSteps: about('Derived: steps of the whole run.', withDefault(int, -1)),
});

/**
 * `worker.*.fsdp`: the reference's sharding engine, of which the dtypes and `enable_cpu_offload` have a counterpart here.
 */
const Fsdp = section({
  enableFullShard: about('ZeRO-3 rather than ZeRO-2.', withDefault(bool, true)),
  enableCpuOffload: about('The same as `offload.offload_params`.', withDefault(bool, false)),
  enableRank0Init: about('Only one rank reads the weights.', withDefault(bool, true)),
  useOrigParams: about('Keep parameters in their own shapes.', withDefault(bool, false)),
  torchDtype: about(
    "What trained weights are rounded to after each step, and the reference model's once; null rounds nothing.",
    orNull(precision),
  ),
  fsdpSize: about('Ranks of one shard group; -1 is all.', withDefault(int, -1)),
  mpParamDtype: about(
    "Compute type, on a copy of the weights that every step refreshes; null is fp32, and of the reference model the policy's.",
    orNull(precision),
  ),
  mpReduceDtype: about(
    'What gradients are rounded to before learners sum them, and their sum.',
    withDefault(precision, 'fp32'),
  ),
  mpBufferDtype: about('Type of buffers; here always fp32.', withDefault(precision, 'fp32')),
});

/**
 * `worker.*.offload`: parts of a model that leave memory while they are not needed.
 *
 * They go from a card to the host's memory, and where the processor computes, from there to a file.
 */
const Offload = section({
  offloadParams: about(
    "Keep the parameters out of memory: those of a card in the host's memory, those of the processor in a file below `TMPDIR` (else `/var/tmp`), on Linux. A pass has one module of them, generation all of them while it lasts.",
    withDefault(bool, false),
  ),
  offloadOptimizer: about(
    "Keep the optimizer's state out of memory, in the same places: a step has one slice of it.",
    withDefault(bool, false),
  ),
});

/** `worker.actor`: the policy and how it is updated. */
export const Actor = section({
  strategy: about('How weights are sharded.', withDefault(text, 'fsdp')),
  globalBatchSize: about('Prompts per optimizer step.', withDefault(positiveInt, 256)),
  microBatchSizePerDeviceForUpdate: about(
    'Samples per forward and backward pass.',
    withDefault(positiveInt, 4),
  ),
  microBatchSizePerDeviceForExperience: about(
    "Samples per log-probability pass, the reference model's too.",
    withDefault(positiveInt, 16),
  ),
  maxGradNorm: about('Global L2 norm gradients are clipped to.', withDefault(above(0), 1)),
  clipRatioLow: about(
    'The ratio is clipped below at 1 less this, of `geo_mean` its logarithm at minus this.',
    withDefault(between(0, 1), 0.2),
  ),
  clipRatioHigh: about(
    'The ratio is clipped above at 1 plus this, of `geo_mean` its logarithm at this.',
    withDefault(atLeast(0), 0.3),
  ),
  clipRatioDual: about(
    'Bound of the loss where the advantage is negative (dual clip).',
    withDefault(above(0), 3),
  ),
  ...lossAveraging,
  lossType: about(
    'The policy loss; `geo_mean` and `luspo` have averages of their own.',
    withDefault(keyOf(policyLosses), 'default'),
  ),
  clipCovRatio: about(
    'cxmind: as in verl; share of the tokens that `clip_cov` leaves out, one at least.',
    withDefault(between(0, 1), 0.0002),
  ),
  clipCovLb: about(
    'cxmind: covariance above which `clip_cov` leaves tokens out.',
    withDefault(finite, 1),
  ),
  clipCovUb: about(
    'cxmind: covariance below which `clip_cov` leaves tokens out.',
    withDefault(finite, 5),
  ),
  klCovRatio: about(
    'cxmind: as in verl; share of the tokens, those of highest covariance, that `kl_cov` penalizes, one at least.',
    withDefault(between(0, 1), 0.0002),
  ),
  ppoKlCoef: about("cxmind: as in verl; weight of `kl_cov`'s penalty.", withDefault(atLeast(0), 1)),
  calculateEntropy: about(
    "cxmind: as in verl; measure the entropy of the policy's distributions before each update, exactly, as `actor/entropy`.",
    withDefault(bool, false),
  ),
  entropyCoeff: about(
    'cxmind: as in verl; weight of the entropy bonus in the loss, the first one where it adapts.',
    withDefault(finite, 0),
  ),
  useAdaptiveEntropy: about(
    'cxmind: as in TRL; adapt the weight of the bonus, and pay it only while the entropy is not above its target (Skywork-OR1).',
    withDefault(bool, false),
  ),
  entropyTarget: about(
    'cxmind: as in TRL; entropy that an adaptive weight holds, nats per token.',
    withDefault(atLeast(0), 0.2),
  ),
  entropyCoeffDelta: about(
    'cxmind: change of an adaptive weight at each step; in TRL `entropy_coef_delta`.',
    withDefault(atLeast(0), 0.005),
  ),
  entropyCoeffMin: about(
    'cxmind: least adaptive weight; in TRL `entropy_coef_min`.',
    withDefault(atLeast(0), 0),
  ),
  entropyCoeffMax: about(
    'cxmind: largest adaptive weight; in TRL `entropy_coef_max`.',
    withDefault(atLeast(0), 1),
  ),
  ppoEpochs: about('Passes over a rollout batch.', withDefault(positiveInt, 1)),
  paddingFree: about('Pack sequences instead of padding them.', withDefault(bool, true)),
  dynamicBatching: about('Fill micro-batches up to a token budget.', withDefault(bool, true)),
  ulyssesSize: about('Ranks that share one sequence.', withDefault(positiveInt, 1)),
  useTorchCompile: about('Compile the log-probability kernel.', withDefault(bool, true)),
  tauPositive: about(
    "SAPO's temperature where the advantage is not negative.",
    withDefault(above(0), 1),
  ),
  tauNegative: about(
    "SAPO's temperature where the advantage is negative.",
    withDefault(above(0), 1.05),
  ),
  vespoKPos: about(
    "cxmind: as in TRL; exponent of VESPO's weight where the advantage is not negative.",
    withDefault(atLeast(0), 2),
  ),
  vespoLambdaPos: about(
    "cxmind: decay of VESPO's weight where the advantage is not negative.",
    withDefault(atLeast(1e-4), 3),
  ),
  vespoKNeg: about(
    "cxmind: exponent of VESPO's weight where the advantage is negative.",
    withDefault(atLeast(0), 3),
  ),
  vespoLambdaNeg: about(
    "cxmind: decay of VESPO's weight where the advantage is negative.",
    withDefault(atLeast(1e-4), 2),
  ),
  model: about('The checkpoint.', Model),
  optim: about('The optimizer.', Optim),
  fsdp: about('Sharding.', Fsdp),
  offload: about('Out of memory what is not needed.', Offload),
  numWorkers: about(
    "cxmind: learners that share every mini-batch, the reference's world size; null is one a GPU (`trainer.nnodes` x `trainer.n_gpus_per_node`), and on CPUs one a host.",
    orNull(positiveInt),
  ),
  globalBatchSizePerDevice: about(
    'Derived: samples per optimizer step on one device.',
    withDefault(int, -1),
  ),
  disableKl: about('Derived from `algorithm`.', withDefault(bool, false)),
  useKlLoss: about('Derived from `algorithm`.', withDefault(bool, false)),
  klPenalty: about('Derived from `algorithm`.', withDefault(klPenalty, 'kl')),
  klCoef: about('Derived from `algorithm`.', withDefault(finite, 0)),
});

/** `worker.critic`: the value network of `gae`. */
const Critic = section({
  strategy: about('How weights are sharded.', withDefault(text, 'fsdp')),
  globalBatchSize: about('Prompts per optimizer step.', withDefault(positiveInt, 256)),
  microBatchSizePerDeviceForUpdate: about(
    'Samples per forward and backward pass.',
    withDefault(positiveInt, 4),
  ),
  microBatchSizePerDeviceForExperience: about(
    'Samples per value pass.',
    withDefault(positiveInt, 16),
  ),
  maxGradNorm: about('Global L2 norm gradients are clipped to.', withDefault(above(0), 1)),
  cliprangeValue: about('Values may move this far from the old ones.', withDefault(above(0), 0.5)),
  ...lossAveraging,
  ppoEpochs: about('Passes over a rollout batch.', withDefault(positiveInt, 1)),
  paddingFree: about('Pack sequences instead of padding them.', withDefault(bool, false)),
  dynamicBatching: about('Fill micro-batches up to a token budget.', withDefault(bool, true)),
  ulyssesSize: about('Ranks that share one sequence.', withDefault(positiveInt, 1)),
  model: about('The checkpoint.', Model),
  optim: about('The optimizer.', Optim),
  fsdp: about('Sharding.', Fsdp),
  offload: about('Out of memory what is not needed.', Offload),
  globalBatchSizePerDevice: about(
    'Derived: samples per optimizer step on one device.',
    withDefault(int, -1),
  ),
});

/** `worker.ref`: the copy of the policy as it began, which KL is measured against; frozen unless it is synced. */
const Ref = section({
  strategy: about('How weights are sharded.', withDefault(text, 'fsdp')),
  fsdp: about('Sharding.', Fsdp),
  offload: about('Out of memory what is not needed.', Offload),
  syncRefModel: about(
    'cxmind: as in TRL; moves the reference towards the policy every `ref_model_sync_steps` steps (TR-DPO).',
    withDefault(bool, false),
  ),
  refModelMixupAlpha: about(
    "cxmind: as in TRL; the policy's share in the reference that it is mixed into; 1 replaces it.",
    withDefault(between(0, 1), 0.6),
  ),
  refModelSyncSteps: about(
    'cxmind: as in TRL; training steps between two such moves.',
    withDefault(positiveInt, 512),
  ),
  microBatchSizePerDeviceForExperience: about('Derived from `actor`.', withDefault(int, -1)),
  paddingFree: about('Derived from `actor`.', withDefault(bool, false)),
  dynamicBatching: about('Derived from `actor`.', withDefault(bool, true)),
  ulyssesSize: about('Derived from `actor`.', withDefault(int, 1)),
  useTorchCompile: about('Derived from `actor`.', withDefault(bool, true)),
});

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

/** `worker`: everything that computes. */
export const Worker = section({
  hybridEngine: about('Always true: all roles share one process.', withDefault(bool, true)),
  actor: about('The policy.', Actor),
  critic: about('The value network.', Critic),
  ref: about('The reference model.', Ref),
  rollout: about('Generation.', Rollout),
  reward: about('Scoring.', Reward),
});
