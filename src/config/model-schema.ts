/** Keys that the models of `worker` have in common: checkpoint, optimizer, sharding and offloading. */
import type * as t from 'io-ts';
import { about, freeForm, orNull, pairOf, section, withDefault } from '../check/codec.ts';
import {
  atLeast,
  between,
  bool,
  int,
  intFrom,
  keyOf,
  number,
  oneOf,
  pattern,
  positiveInt,
  text,
} from '../check/scalars.ts';
import { lrSchedules } from '../algorithms/schedule.ts';
import { precision } from './compute.ts';

const beta = number('number in [0, 1)', (value) => value >= 0 && value < 1);

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

const optimizerName = oneOf('adamw', 'adamw_bf16');
/** Name of an optimizer; the table of optimizers has an entry for each. */
export type OptimizerName = t.TypeOf<typeof optimizerName>;

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
    withDefault(optimizerName, 'adamw'),
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
export const Fsdp = section({
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
export const Offload = section({
  offloadParams: about(
    "Keep the parameters out of memory: those of a card in the host's memory, those of the processor in a file below `TMPDIR` (else `/var/tmp`), on Linux. A pass has one module of them, generation all of them while it lasts.",
    withDefault(bool, false),
  ),
  offloadOptimizer: about(
    "Keep the optimizer's state out of memory, in the same places: a step has one slice of it.",
    withDefault(bool, false),
  ),
});
