/** Keys of `worker`: policy, critic and reference model. Rollouts and rewards have files of their own. */
import { about, orNull, section, withDefault } from '../check/codec.ts';
import {
  above,
  atLeast,
  between,
  bool,
  finite,
  int,
  keyOf,
  oneOf,
  positiveInt,
  text,
} from '../check/scalars.ts';
import { klEstimators } from '../algorithms/kl.ts';
import { lossAverages } from '../algorithms/loss-average.ts';
import { policyLosses } from '../algorithms/policy-losses.ts';
import { Fsdp, Model, Offload, Optim } from './model-schema.ts';
import { Reward } from './reward-schema.ts';
import { Rollout } from './rollout-schema.ts';

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

/** `worker`: everything that computes. */
export const Worker = section({
  hybridEngine: about('Always true: all roles share one process.', withDefault(bool, true)),
  actor: about('The policy.', Actor),
  critic: about('The value network.', Critic),
  ref: about('The reference model.', Ref),
  rollout: about('Generation.', Rollout),
  reward: about('Scoring.', Reward),
});
