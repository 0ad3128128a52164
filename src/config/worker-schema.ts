import type * as t from 'io-ts';
import {
  above,
  atLeast,
  between,
  bool,
  finite,
  freeForm,
  int,
  intFrom,
  number,
  oneOf,
  orNull,
  pairOf,
  positiveInt,
  section,
  text,
  withDefault,
} from './codec.ts';

const precision = oneOf('fp16', 'float16', 'fp32', 'float32', 'bf16', 'bfloat16');
const beta = number('number in [0, 1)', (value) => value >= 0 && value < 1);
const topP = number('number in (0, 1]', (value) => value > 0 && value <= 1);

/** How the KL term against the reference model is estimated, token by token. */
export const klPenalty = oneOf('kl', 'abs', 'mse', 'low_var_kl', 'full');

/** How per-token losses become one number. */
const lossAvgMode = oneOf('token', 'seq');

const Lora = section({
  /** Rank of the adapters; 0 trains the weights themselves. */
  rank: withDefault(intFrom(0), 0),
  /** Scale of the adapters, divided by the rank. */
  alpha: withDefault(positiveInt, 64),
  /** `all-linear`, or a comma list of module names. */
  targetModules: withDefault(text, 'all-linear'),
  /** Regular expression of modules left alone. */
  excludeModules: orNull(text),
});

/** `worker.{actor,critic}.model`: which checkpoint, and what of it is trained. */
export const Model = section({
  /** Hugging Face checkpoint directory. */
  modelPath: orNull(text),
  /** Directory of the tokenizer; null takes `model_path`. */
  tokenizerPath: orNull(text),
  /** Keys laid over the checkpoint's `config.json`. */
  overrideConfig: withDefault(freeForm, {}),
  /** Recompute activations in the backward pass instead of keeping them. */
  enableGradientCheckpointing: withDefault(bool, true),
  /** Has no effect: cxmind never runs code out of a checkpoint. */
  trustRemoteCode: withDefault(bool, true),
  /** Leave the vision tower as it is. */
  freezeVisionTower: withDefault(bool, false),
  /** Low-rank adapters. */
  lora: Lora,
});

/** `worker.{actor,critic}.optim`: AdamW and its learning-rate schedule. */
export const Optim = section({
  /** Peak learning rate. */
  lr: withDefault(atLeast(0), 1e-6),
  /** Decay of the first and second moment. */
  betas: withDefault(pairOf(beta, 'two numbers in [0, 1)'), [0.9, 0.999]),
  /** Decoupled weight decay. */
  weightDecay: withDefault(atLeast(0), 1e-2),
  /** `adamw`, or `adamw_bf16` with bf16 moments and Kahan compensation. */
  strategy: withDefault(oneOf('adamw', 'adamw_bf16'), 'adamw'),
  /** Share of `training_steps` spent warming up, truncated to whole steps. */
  lrWarmupRatio: withDefault(between(0, 1), 0),
  /** Warm-up steps; overrides the ratio. */
  lrWarmupSteps: orNull(intFrom(0)),
  /** Floor of the cosine schedule as a share of `lr`; null is 0. */
  minLrRatio: orNull(between(0, 1)),
  /** CX-Mind's name of `lr_scheduler_type`; accepted and never read, there as here. */
  warmupStyle: withDefault(text, 'constant'),
  /** Shape of the schedule after the warm-up. */
  lrSchedulerType: withDefault(oneOf('constant', 'cosine'), 'constant'),
  /** Derived: steps of the whole run. */
  trainingSteps: withDefault(int, -1),
});

/** `worker.*.fsdp`: the reference's sharding engine; nothing of it applies to one learner. */
const Fsdp = section({
  /** ZeRO-3 rather than ZeRO-2. */
  enableFullShard: withDefault(bool, true),
  /** Keep parameters in host memory. */
  enableCpuOffload: withDefault(bool, false),
  /** Only one rank reads the weights. */
  enableRank0Init: withDefault(bool, true),
  /** Keep parameters in their own shapes. */
  useOrigParams: withDefault(bool, false),
  /** Storage type; null is fp32, and bf16 for the reference model. */
  torchDtype: orNull(precision),
  /** Ranks of one shard group; -1 is all. */
  fsdpSize: withDefault(int, -1),
  /** Compute type. */
  mpParamDtype: withDefault(precision, 'bf16'),
  /** Type gradients are summed in. */
  mpReduceDtype: withDefault(precision, 'fp32'),
  /** Type of buffers. */
  mpBufferDtype: withDefault(precision, 'fp32'),
});

/** `worker.*.offload`: what moves to host memory between phases. */
const Offload = section({
  /** Parameters. */
  offloadParams: withDefault(bool, false),
  /** Optimizer state. */
  offloadOptimizer: withDefault(bool, false),
});

/** `worker.actor`: the policy and how it is updated. */
export const Actor = section({
  /** Informational. */
  strategy: withDefault(text, 'fsdp'),
  /** Prompts per optimizer step. */
  globalBatchSize: withDefault(positiveInt, 256),
  /** Samples per forward and backward pass. */
  microBatchSizePerDeviceForUpdate: withDefault(positiveInt, 4),
  /** Samples per log-probability pass, the reference model's too. */
  microBatchSizePerDeviceForExperience: withDefault(positiveInt, 16),
  /** Global L2 norm gradients are clipped to. */
  maxGradNorm: withDefault(above(0), 1),
  /** The ratio is clipped below at 1 less this. */
  clipRatioLow: withDefault(between(0, 1), 0.2),
  /** The ratio is clipped above at 1 plus this. */
  clipRatioHigh: withDefault(atLeast(0), 0.3),
  /** Bound of the loss where the advantage is negative (dual clip). */
  clipRatioDual: withDefault(above(0), 3),
  /** Average over tokens, or over sequences of token means. */
  lossAvgMode: withDefault(lossAvgMode, 'token'),
  /** The policy loss. */
  lossType: withDefault(oneOf('default', 'gspo', 'gspo_token', 'cispo', 'sapo'), 'default'),
  /** Passes over a rollout batch. */
  ppoEpochs: withDefault(positiveInt, 1),
  /** Pack sequences instead of padding them. */
  paddingFree: withDefault(bool, true),
  /** Fill micro-batches up to a token budget. */
  dynamicBatching: withDefault(bool, true),
  /** Ranks that share one sequence. */
  ulyssesSize: withDefault(positiveInt, 1),
  /** Compile the log-probability kernel. */
  useTorchCompile: withDefault(bool, true),
  /** SAPO's temperature where the advantage is not negative. */
  tauPositive: withDefault(above(0), 1),
  /** SAPO's temperature where the advantage is negative. */
  tauNegative: withDefault(above(0), 1.05),
  /** The checkpoint. */
  model: Model,
  /** The optimizer. */
  optim: Optim,
  /** Sharding. */
  fsdp: Fsdp,
  /** Offloading. */
  offload: Offload,
  /**
   * cxmind: learners that share every mini-batch, the reference's world size; null is one a GPU
   * (`trainer.nnodes` x `trainer.n_gpus_per_node`), and on CPUs one a host.
   */
  numWorkers: orNull(positiveInt),
  /** Derived: samples per optimizer step on one device. */
  globalBatchSizePerDevice: withDefault(int, -1),
  /** Derived from `algorithm`. */
  disableKl: withDefault(bool, false),
  /** Derived from `algorithm`. */
  useKlLoss: withDefault(bool, false),
  /** Derived from `algorithm`. */
  klPenalty: withDefault(klPenalty, 'kl'),
  /** Derived from `algorithm`. */
  klCoef: withDefault(finite, 0),
});

/** `worker.critic`: the value network of `gae`. */
const Critic = section({
  /** Informational. */
  strategy: withDefault(text, 'fsdp'),
  /** Prompts per optimizer step. */
  globalBatchSize: withDefault(positiveInt, 256),
  /** Samples per forward and backward pass. */
  microBatchSizePerDeviceForUpdate: withDefault(positiveInt, 4),
  /** Samples per value pass. */
  microBatchSizePerDeviceForExperience: withDefault(positiveInt, 16),
  /** Global L2 norm gradients are clipped to. */
  maxGradNorm: withDefault(above(0), 1),
  /** Values may move this far from the old ones. */
  cliprangeValue: withDefault(above(0), 0.5),
  /** Average over tokens, or over sequences of token means. */
  lossAvgMode: withDefault(lossAvgMode, 'token'),
  /** Passes over a rollout batch. */
  ppoEpochs: withDefault(positiveInt, 1),
  /** Pack sequences instead of padding them. */
  paddingFree: withDefault(bool, false),
  /** Fill micro-batches up to a token budget. */
  dynamicBatching: withDefault(bool, true),
  /** Ranks that share one sequence. */
  ulyssesSize: withDefault(positiveInt, 1),
  /** The checkpoint. */
  model: Model,
  /** The optimizer. */
  optim: Optim,
  /** Sharding. */
  fsdp: Fsdp,
  /** Offloading. */
  offload: Offload,
  /** Derived: samples per optimizer step on one device. */
  globalBatchSizePerDevice: withDefault(int, -1),
});

/** `worker.ref`: the frozen copy of the policy that KL is measured against. */
const Ref = section({
  /** Informational. */
  strategy: withDefault(text, 'fsdp'),
  /** Sharding. */
  fsdp: Fsdp,
  /** Offloading. */
  offload: Offload,
  /** Derived from `actor`. */
  microBatchSizePerDeviceForExperience: withDefault(int, -1),
  /** Derived from `actor`. */
  paddingFree: withDefault(bool, false),
  /** Derived from `actor`. */
  dynamicBatching: withDefault(bool, true),
  /** Derived from `actor`. */
  ulyssesSize: withDefault(int, 1),
  /** Derived from `actor`. */
  useTorchCompile: withDefault(bool, true),
});

const sampling = {
  /** Responses per prompt. */
  n: withDefault(positiveInt, 1),
  /** Sampling temperature; also divides the logits of every log-probability. */
  temperature: withDefault(atLeast(0), 1),
  /** Keep the likeliest tokens up to this mass. */
  topP: withDefault(topP, 1),
  /** Keep this many of the likeliest tokens; -1 keeps all. */
  topK: withDefault(intFrom(-1), -1),
  /** Seed of the sampler. */
  seed: withDefault(int, 1),
  /** Do not stop at the end-of-turn token. */
  ignoreEos: withDefault(bool, false),
};

/** The rollout keys that reach the sampler; `val_override_config` may hold these and no others. */
export const Sampling = section(sampling);
export interface Sampling extends t.TypeOf<typeof Sampling> {}

/** `worker.rollout`: how responses are generated. */
export const Rollout = section({
  ...sampling,
  /** Informational. */
  name: withDefault(text, 'vllm'),
  /** Images a prompt may hold; 0 sets no limit. */
  limitImages: withDefault(intFrom(0), 0),
  /** Compute type of the GPU engine. */
  dtype: withDefault(precision, 'bf16'),
  /** Share of GPU memory for the engine. */
  gpuMemoryUtilization: withDefault(between(0, 1), 0.6),
  /** Run without captured CUDA graphs. */
  enforceEager: withDefault(bool, false),
  /** Prefill long prompts in pieces. */
  enableChunkedPrefill: withDefault(bool, false),
  /** GPUs that share one engine. */
  tensorParallelSize: withDefault(positiveInt, 2),
  /** Longest sequence of the engine; null is prompt plus response length. */
  maxModelLen: orNull(positiveInt),
  /** Tokens of one engine step. */
  maxNumBatchedTokens: withDefault(positiveInt, 8192),
  /** Quiet engine. */
  disableLogStats: withDefault(bool, true),
  /** No progress bar. */
  disableTqdm: withDefault(bool, false),
  /** Sampling keys laid over the above for validation, where `n` is 1 unless set here. */
  valOverrideConfig: withDefault(freeForm, {}),
  /** cxmind: rollout actors; null is one a host. */
  numWorkers: orNull(positiveInt),
  /** Derived: `data.max_prompt_length`. */
  promptLength: withDefault(int, -1),
  /** Derived: `data.max_response_length`. */
  responseLength: withDefault(int, -1),
  /** Derived from the actor's model. */
  trustRemoteCode: withDefault(bool, false),
});

/** `worker.reward`: how responses are scored. */
export const Reward = section({
  /** CX-Mind's way to say how a reward is called; a file's own `REWARD_TYPE` says it here. */
  rewardType: withDefault(oneOf('batch', 'sequential'), 'batch'),
  /** `FILE[:FUNC]`, or the name of a built-in reward. */
  rewardFunction: orNull(text),
  /** Named arguments of every call. */
  rewardFunctionKwargs: withDefault(freeForm, {}),
  /** Decode responses without special tokens before scoring. */
  skipSpecialTokens: withDefault(bool, true),
  /** CPUs reserved for each reward process. */
  numCpus: withDefault(positiveInt, 1),
  /** cxmind: reward actors; null is one a host. */
  numWorkers: orNull(positiveInt),
  /** cxmind: built-in rewards as CX-Mind released them, or with their known slips repaired. */
  form: withDefault(oneOf('faithful', 'repaired'), 'faithful'),
  /** cxmind: longest a scoring call may take. */
  timeoutSeconds: withDefault(above(0), 60),
  /** Derived: the FUNC part, `main` when FILE stands alone, null for a built-in. */
  rewardFunctionName: orNull(text),
});

/** `worker`: everything that computes. */
export const Worker = section({
  /** Always true: all roles share one process. */
  hybridEngine: withDefault(bool, true),
  /** The policy. */
  actor: Actor,
  /** The value network. */
  critic: Critic,
  /** The reference model. */
  ref: Ref,
  /** Generation. */
  rollout: Rollout,
  /** Scoring. */
  reward: Reward,
});
