import { isRight } from 'fp-ts/lib/Either.js';
import type * as t from 'io-ts';
import { CxmindError } from '../errors.ts';
import {
  atLeast,
  above,
  between,
  bool,
  finite,
  int,
  intFrom,
  listOf,
  number,
  oneOf,
  orNull,
  positiveInt,
  section,
  text,
  withDefault,
} from './codec.ts';
import { klPenalty, Worker } from './worker-schema.ts';

/** `data`: where prompts come from and how long they may be. */
export const Data = section({
  /** Training set: a JSON or JSONL file, or a directory of them. */
  trainFiles: withDefault(text, ''),
  /** Validation set, same syntax. */
  valFiles: withDefault(text, ''),
  /** Column with the user's prompt. */
  promptKey: withDefault(text, 'prompt'),
  /** Column with the reference answer. */
  answerKey: withDefault(text, 'answer'),
  /** Column with a list of images. */
  imageKey: withDefault(text, 'images'),
  /** Column with a list of videos. */
  videoKey: withDefault(text, 'videos'),
  /** Joined to relative image paths. */
  imageDir: orNull(text),
  /** Frames sampled per second of video. */
  videoFps: withDefault(above(0), 2),
  /** Tokens of the longest prompt. */
  maxPromptLength: withDefault(positiveInt, 512),
  /** Tokens of the longest response. */
  maxResponseLength: withDefault(positiveInt, 512),
  /** Prompts per training step. */
  rolloutBatchSize: withDefault(positiveInt, 512),
  /** Prompts per generation call; null is all of a step. */
  miniRolloutBatchSize: orNull(positiveInt),
  /** Prompts per validation batch; -1 is the whole set. */
  valBatchSize: withDefault(
    number('-1 or an integer >= 1', (value) => value === -1 || (value >= 1 && value % 1 === 0)),
    -1,
  ),
  /** Jinja file that renders a prompt from `content`. */
  formatPrompt: orNull(text),
  /** Chat template: a file, or the template itself. */
  overrideChatTemplate: orNull(text),
  /** Shuffle the training set every epoch. */
  shuffle: withDefault(bool, true),
  /** Seed of the shuffling. */
  seed: withDefault(int, 1),
  /** Smaller images are enlarged to this area; null leaves them. */
  minPixels: withDefault(orNull(positiveInt), 262144),
  /** Larger images are reduced to this area; null leaves them. */
  maxPixels: withDefault(orNull(positiveInt), 4194304),
  /** Drop prompts longer than `max_prompt_length`. */
  filterOverlongPrompts: withDefault(bool, true),
  /** Processes of that filter in the reference. */
  filterOverlongPromptsWorkers: withDefault(positiveInt, 16),
  /** cxmind: what an unreadable row does: end the run, or be skipped and counted. */
  invalidRows: withDefault(oneOf('fail', 'skip'), 'fail'),
});
export interface Data extends t.TypeOf<typeof Data> {}

/** `algorithm`: advantages, KL and filtering. */
export const Algorithm = section({
  /** Discount. */
  gamma: withDefault(between(0, 1), 1),
  /** Lambda of GAE. */
  lam: withDefault(between(0, 1), 1),
  /** How scores become advantages. */
  advEstimator: withDefault(
    oneOf('gae', 'grpo', 'reinforce_plus_plus', 'remax', 'rloo', 'grpo_passk'),
    'grpo',
  ),
  /** No reference model and no KL anywhere. */
  disableKl: withDefault(bool, false),
  /** KL as a term of the loss (true) or taken off the token rewards (false). */
  useKlLoss: withDefault(bool, false),
  /** The KL estimator. */
  klPenalty: withDefault(klPenalty, 'kl'),
  /** Weight of KL. */
  klCoef: withDefault(atLeast(0), 1e-3),
  /** Whether the weight of KL in the rewards adapts. */
  klType: withDefault(oneOf('fixed', 'adaptive'), 'fixed'),
  /** Horizon of the adaptive controller. */
  klHorizon: withDefault(finite, 10000),
  /** Target of the adaptive controller. */
  klTarget: withDefault(finite, 0.1),
  /** Drop groups that teach nothing and generate more (DAPO). */
  onlineFiltering: withDefault(bool, false),
  /** Reward part whose group mean decides. */
  filterKey: withDefault(text, 'overall'),
  /** Groups at or below this mean are dropped. */
  filterLow: withDefault(finite, 0.01),
  /** Groups at or above this mean are dropped. */
  filterHigh: withDefault(finite, 0.99),
});
export interface Algorithm extends t.TypeOf<typeof Algorithm> {}

/** `trainer`: how long, how often, and where to. */
export const Trainer = section({
  /** Passes over the training set. */
  totalEpochs: withDefault(positiveInt, 15),
  /** Steps of the run; overrides the epochs. */
  maxSteps: orNull(positiveInt),
  /** First part of the default checkpoint folder. */
  projectName: withDefault(text, 'easy_r1'),
  /** Second part of the default checkpoint folder. */
  experimentName: withDefault(text, 'demo'),
  /** Where metrics go. */
  logger: withDefault(
    listOf(oneOf('console', 'file', 'mlflow', 'swanlab', 'tensorboard', 'wandb')),
    ['console', 'wandb'],
  ),
  /** Hosts that train; on CPUs one learner each, unless `worker.actor.num_workers` says how many. */
  nnodes: withDefault(positiveInt, 1),
  /** GPUs on each host, and learners on each where they train on GPUs; without effect on CPUs. */
  nGpusPerNode: withDefault(positiveInt, 8),
  /** Generation rounds a step may take to fill its batch; 0 or less sets no limit. */
  maxTryMakeBatch: withDefault(int, 20),
  /** The policy is updated from this step on. */
  criticWarmup: withDefault(intFrom(0), 0),
  /** Steps between validations; 0 or less leaves only the final one. */
  valFreq: withDefault(int, -1),
  /** Validate before the first step. */
  valBeforeTrain: withDefault(bool, true),
  /** Validate and stop. */
  valOnly: withDefault(bool, false),
  /** Samples logged at each validation. */
  valGenerationsToLog: withDefault(intFrom(0), 0),
  /** Steps between checkpoints; 0 or less leaves only the final one. */
  saveFreq: withDefault(int, -1),
  /** Checkpoints kept; 0 or less keeps all. */
  saveLimit: withDefault(int, -1),
  /** Save weights without what resuming needs. */
  saveModelOnly: withDefault(bool, false),
  /** The run's folder; null is `checkpoints/<project_name>/<experiment_name>`. */
  saveCheckpointPath: orNull(text),
  /** A `global_step_N` folder to resume from. */
  loadCheckpointPath: orNull(text),
  /** Resume from the newest checkpoint of the run's folder. */
  findLastCheckpoint: withDefault(bool, true),
  /** Cluster timeline file of the reference. */
  rayTimeline: orNull(text),
  /** cxmind: where tensors live and kernels run; `auto` is the best that loads. */
  device: withDefault(oneOf('auto', 'cpu', 'webgpu', 'cuda'), 'auto'),
  /** cxmind: compute threads; null is one per core. */
  threads: orNull(positiveInt),
  /** cxmind: seed of everything that has no seed key of its own. */
  seed: withDefault(int, 1),
});
export interface Trainer extends t.TypeOf<typeof Trainer> {}

/** `sft` (cxmind's own): supervised training on the reference answers. */
export const Sft = section({
  /** Training set; null takes `data.train_files`. */
  trainFiles: orNull(text),
  /** Passes over it. */
  epochs: withDefault(positiveInt, 1),
  /** Optimizer steps; overrides the epochs. */
  maxSteps: orNull(positiveInt),
  /** Samples per optimizer step. */
  batchSize: withDefault(positiveInt, 32),
  /** Samples per forward and backward pass. */
  microBatchSize: withDefault(positiveInt, 8),
  /** Peak learning rate. */
  lr: withDefault(atLeast(0), 1e-5),
  /** Steps over which the rate rises to its peak. */
  lrWarmupSteps: withDefault(intFrom(0), 0),
  /** Where the model goes; null is `sft` in the run's folder. */
  saveCheckpointPath: orNull(text),
});
export interface Sft extends t.TypeOf<typeof Sft> {}

/** `transport` (cxmind's own): how actors on several threads and hosts reach each other. */
export const Transport = section({
  /** What the learners' sums go over: cxmind's own sockets and shared memory, or an MPI library. */
  collectives: withDefault(oneOf('zeromq', 'mpi'), 'zeromq'),
});
export interface Transport extends t.TypeOf<typeof Transport> {}

/** Everything a run is told; the root of the YAML file. */
export const Config = section({
  /** Prompts. */
  data: Data,
  /** Formulas. */
  algorithm: Algorithm,
  /** Compute. */
  worker: Worker,
  /** The loop. */
  trainer: Trainer,
  /** Connections. */
  transport: Transport,
  /** Supervised training. */
  sft: Sft,
});
export interface Config extends t.TypeOf<typeof Config> {}

/** The config of an empty file. */
export function defaults(): Config {
  const decoded = Config.decode({});
  if (isRight(decoded)) return decoded.right;
  throw new CxmindError('INTERNAL', 'a default of the schema does not decode');
}
