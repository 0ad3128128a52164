/** Root of the config, and its sections but for `worker`, each key with its type, default and purpose. */
import { isRight } from 'fp-ts/lib/Either.js';
import type * as t from 'io-ts';
import { advantageEstimators, rewardScales } from '../algorithms/advantage.ts';
import { importanceLevels } from '../algorithms/rollout-correction.ts';
import { CxmindError } from '../errors.ts';
import {
  about,
  listOf,
  oneOrList,
  oneOrMore,
  orNull,
  pairOf,
  section,
  withDefault,
  writtenBy,
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
  number,
  oneOf,
  positiveInt,
  text,
} from '../check/scalars.ts';
import { templateVariables } from '../check/template-variables.ts';
import { deviceChoice } from './compute.ts';
import { Stage } from './curriculum-schema.ts';
import {
  environmentValues,
  withoutEnvironment,
  type EnvironmentValue,
} from './environment-values.ts';
import { klPenalty, Worker } from './worker-schema.ts';

/** `data`: where prompts come from and how long they may be. */
export const Data = section({
  trainFiles: about(
    'Training set: a JSON, JSONL, CSV, Parquet or Arrow file, a pattern of such files, a directory, or the id of a data set on the hub; then @SPLIT.',
    withDefault(oneOrList(text), ''),
  ),
  valFiles: about('Validation set, same syntax.', withDefault(oneOrList(text), '')),
  promptKey: about("Column with the user's prompt.", withDefault(text, 'prompt')),
  answerKey: about('Column with the reference answer.', withDefault(text, 'answer')),
  imageKey: about('Column with a list of images.', withDefault(text, 'images')),
  videoKey: about('Column with a list of videos.', withDefault(text, 'videos')),
  imageDir: about('Joined to relative paths of images and videos.', orNull(text)),
  videoFps: about('Frames sampled per second of video.', withDefault(above(0), 2)),
  maxPromptLength: about('Tokens of the longest prompt.', withDefault(positiveInt, 512)),
  maxResponseLength: about('Tokens of the longest response.', withDefault(positiveInt, 512)),
  rolloutBatchSize: about('Prompts per training step.', withDefault(positiveInt, 512)),
  miniRolloutBatchSize: about(
    'Prompts per generation call; null is all of a step.',
    orNull(positiveInt),
  ),
  valBatchSize: about(
    'Prompts per validation batch; -1 is the whole set.',
    withDefault(
      number('-1 or an integer >= 1', (value) => value === -1 || (value >= 1 && value % 1 === 0)),
      -1,
    ),
  ),
  formatPrompt: about('Jinja file that renders a prompt from `content`.', orNull(text)),
  overrideChatTemplate: about('Chat template: a file, or the template itself.', orNull(text)),
  applyChatTemplateKwargs: about(
    'cxmind: further variables of the chat template, as in verl; `{enable_thinking: false}` for Qwen3.',
    withDefault(templateVariables, {}),
  ),
  shuffle: about('Shuffle the training set every epoch.', withDefault(bool, true)),
  seed: about('Seed of the shuffling.', withDefault(int, 1)),
  minPixels: about(
    'Smaller images are enlarged to this area; null leaves them.',
    withDefault(orNull(positiveInt), 262144),
  ),
  maxPixels: about(
    'Larger images are reduced to this area; null leaves them.',
    withDefault(orNull(positiveInt), 4194304),
  ),
  bitDepth: about(
    'cxmind: bits that samples of 16-bit pictures use; auto is the most that those of the data do. Pictures of an environment are read alike.',
    withDefault(oneOf('auto', 8, 10, 12, 14, 16), 'auto'),
  ),
  window: about(
    "cxmind: center and width by which grey DICOM pictures are shown, in values of the modality; null is each file's own.",
    orNull(pairOf(finite, 'a center and a width >= 1', ([, width]) => width >= 1)),
  ),
  filterOverlongPrompts: about(
    'Drop prompts longer than `max_prompt_length`.',
    withDefault(bool, true),
  ),
  filterOverlongPromptsWorkers: about(
    'Rows that this filter measures at a time.',
    withDefault(positiveInt, 16),
  ),
  numWorkers: about(
    'cxmind: threads that decode images and videos ahead; null is one for two cores, at most 8, and 0 none.',
    orNull(intFrom(0)),
  ),
  invalidRows: about(
    'cxmind: what an unreadable row does: end the run, or be skipped and counted.',
    withDefault(oneOf('fail', 'skip'), 'fail'),
  ),
  maxInvalidFraction: about(
    'cxmind: share of the rows of a set that may be skipped; more of them end the run.',
    withDefault(between(0, 1), 0.05),
  ),
  check: about(
    'cxmind: `all` makes the prompt of every row before the first step, pictures read whole, to find those that cannot be read.',
    withDefault(oneOf('none', 'all'), 'none'),
  ),
});
export interface Data extends t.TypeOf<typeof Data> {}

/** `algorithm.rollout_correction`: importance weights and rejection, as in verl. */
const RolloutCorrection = section({
  rolloutIs: about(
    'cxmind: as in verl; importance weights of the policy loss, one a token or one a response; null is none, and auto one a token where rollouts run ahead.',
    withDefault(orNull(oneOf('auto', ...importanceLevels)), 'auto'),
  ),
  rolloutIsThreshold: about(
    'cxmind: larger importance weights are truncated to this.',
    withDefault(above(0), 2),
  ),
  rolloutIsBatchNormalize: about(
    'cxmind: divide importance weights by their mean over the batch.',
    withDefault(bool, false),
  ),
  rolloutRs: about(
    'cxmind: criteria by which tokens are left out of the losses, as in `token_k1,seq_mean_k3`; null is none.',
    orNull(text),
  ),
  rolloutRsThreshold: about(
    'cxmind: one threshold, or one for each criterion, as in `0.5_2,0.1`.',
    orNull(text),
  ),
});

/** `algorithm`: advantages, KL and filtering. */
export const Algorithm = section({
  gamma: about('Discount.', withDefault(between(0, 1), 1)),
  lam: about('Lambda of GAE.', withDefault(between(0, 1), 1)),
  advEstimator: about(
    'How scores become advantages.',
    withDefault(keyOf(advantageEstimators), 'grpo'),
  ),
  scaleRewards: about(
    "cxmind: as in TRL; deviation that `grpo` and `grpo_passk` divide scores by: the group's, that of the whole batch, or none (Dr. GRPO; in verl `norm_adv_by_std_in_grpo=false`).",
    withDefault(oneOf(...rewardScales), 'group'),
  ),
  maskTruncatedCompletions: about(
    'cxmind: as in TRL; leave responses that reached `data.max_response_length` unfinished out of the losses.',
    withDefault(bool, false),
  ),
  topEntropyQuantile: about(
    'cxmind: as in TRL; share of the tokens of a step, those of highest entropy, that the policy loss counts; 1 is all.',
    withDefault(between(0, 1), 1),
  ),
  disableKl: about('No reference model and no KL anywhere.', withDefault(bool, false)),
  useKlLoss: about(
    'KL as a term of the loss (true) or taken off the token rewards (false).',
    withDefault(bool, false),
  ),
  klPenalty: about('The KL estimator.', withDefault(klPenalty, 'kl')),
  klCoef: about('Weight of KL.', withDefault(atLeast(0), 1e-3)),
  klType: about(
    'Whether the weight of KL in the rewards adapts.',
    withDefault(oneOf('fixed', 'adaptive'), 'fixed'),
  ),
  klHorizon: about('Horizon of the adaptive controller.', withDefault(finite, 10000)),
  klTarget: about('Target of the adaptive controller.', withDefault(finite, 0.1)),
  onlineFiltering: about(
    'Drop groups that teach nothing and generate more (DAPO).',
    withDefault(bool, false),
  ),
  filterKey: about('Reward part whose group mean decides.', withDefault(text, 'overall')),
  filterLow: about('Groups at or below this mean are dropped.', withDefault(finite, 0.01)),
  filterHigh: about('Groups at or above this mean are dropped.', withDefault(finite, 0.99)),
  rolloutCorrection: about(
    'What is done about tokens that were sampled from not quite the policy.',
    RolloutCorrection,
  ),
});
export interface Algorithm extends t.TypeOf<typeof Algorithm> {}

const loggerName = oneOf('console', 'file', 'mlflow', 'swanlab', 'tensorboard', 'wandb');
/** Name of a logger; the table that opens them has an entry for each. */
export type LoggerName = t.TypeOf<typeof loggerName>;

/** `trainer`: how long, how often, and where to. */
export const Trainer = section({
  totalEpochs: about('Passes over the training set.', withDefault(positiveInt, 15)),
  maxSteps: about('Steps of the run; overrides the epochs.', orNull(positiveInt)),
  projectName: about('First part of the default checkpoint folder.', withDefault(text, 'easy_r1')),
  experimentName: about('Second part of the default checkpoint folder.', withDefault(text, 'demo')),
  logger: about(
    'Where metrics go: a name or a list of them.',
    withDefault(oneOrMore(loggerName), ['console', 'wandb']),
  ),
  nnodes: about(
    'Hosts that train; on CPUs one learner each, unless `worker.actor.num_workers` says how many.',
    withDefault(positiveInt, 1),
  ),
  nGpusPerNode: about(
    'GPUs of each host that train at most, a learner and a rollout on each, where `trainer.device` is `cuda`.',
    withDefault(positiveInt, 8),
  ),
  maxTryMakeBatch: about(
    'Generation rounds a step may take to fill its batch; 0 or less sets no limit.',
    withDefault(int, 20),
  ),
  maxStaleness: about(
    'cxmind: updates that the weights a batch is sampled with may be behind those it is trained on; 0 samples and trains in turns, 1 is one step ahead.',
    withDefault(intFrom(0), 0),
  ),
  partialRollout: about(
    'cxmind: whether new weights reach responses that are being sampled; `keep` goes on with the keys and values that older weights left, `recompute` computes them again.',
    withDefault(oneOf('off', 'keep', 'recompute'), 'off'),
  ),
  criticWarmup: about('The policy is updated from this step on.', withDefault(intFrom(0), 0)),
  valFreq: about(
    'Steps between validations; 0 or less leaves only the final one.',
    withDefault(int, -1),
  ),
  valBeforeTrain: about('Validate before the first step.', withDefault(bool, true)),
  valOnly: about('Validate and stop.', withDefault(bool, false)),
  valGenerationsToLog: about('Samples logged at each validation.', withDefault(intFrom(0), 0)),
  saveFreq: about(
    'Steps between checkpoints; 0 or less leaves only the final one.',
    withDefault(int, -1),
  ),
  saveLimit: about('Checkpoints kept; 0 or less keeps all.', withDefault(int, -1)),
  bestMetric: about(
    'cxmind: the validation metric that says which checkpoint is the best; higher is better.',
    withDefault(text, 'val/reward_score'),
  ),
  consoleForm: about(
    'cxmind: how the logger `console` shows a step: a line of a table, or all metrics as the reference does.',
    withDefault(oneOf('table', 'metrics'), 'table'),
  ),
  saveModelOnly: about('Save weights without what resuming needs.', withDefault(bool, false)),
  saveCheckpointPath: about(
    "The run's folder; null is `checkpoints/<project_name>/<experiment_name>`.",
    orNull(text),
  ),
  loadCheckpointPath: about('A `global_step_N` folder to resume from.', orNull(text)),
  findLastCheckpoint: about(
    "Resume from the newest checkpoint of the run's folder.",
    withDefault(bool, true),
  ),
  rolloutDataDir: about(
    "cxmind: as in verl; name of a folder inside the run's that gets the responses of every step with their scores, `STEP.jsonl`; null is none.",
    orNull(text),
  ),
  validationDataDir: about(
    'cxmind: as in verl; the same for all answers of every validation.',
    orNull(text),
  ),
  dashboard: about(
    'cxmind: show the run in a browser while it goes on, at the URL that is printed; this machine alone reaches it.',
    withDefault(bool, false),
  ),
  dashboardPort: about(
    'cxmind: port of the dashboard; a free one is taken where it is 0, or in use.',
    withDefault(
      number(
        'an integer from 0 to 65535',
        (value) => value % 1 === 0 && value >= 0 && value < 65536,
      ),
      8765,
    ),
  ),
  rayTimeline: about(
    "File for a timeline of the run's phases, in Chrome's trace format.",
    orNull(text),
  ),
  profile: about(
    'cxmind: the step whose programs and kernels are traced, in the same format, to `profile-step-N.json`.',
    orNull(positiveInt),
  ),
  device: about(
    'cxmind: where tensors live and kernels run; `cuda` is all cards, `cuda:N` one of them, `auto` one where it can be used, else the processor.',
    withDefault(deviceChoice, 'auto'),
  ),
  threads: about(
    'cxmind: compute threads of each process; null is one per core. The last bits of numbers follow it.',
    orNull(positiveInt),
  ),
  localMode: about(
    'cxmind: as in Ray; actors share the main thread of their process in place of threads of their own, for a debugger. They start faster and compute one at a time.',
    withDefault(bool, false),
  ),
  seed: about('cxmind: seed of everything that has no seed key of its own.', withDefault(int, 1)),
});
export interface Trainer extends t.TypeOf<typeof Trainer> {}

/** `sft` (cxmind's own): supervised training on the reference answers. */
export const Sft = section({
  trainFiles: about('Training set; null takes `data.train_files`.', orNull(oneOrList(text))),
  valFiles: about(
    'Answers that are held out, to measure the loss on; null takes `data.val_files`, or nothing beside a training set of its own.',
    orNull(oneOrList(text)),
  ),
  valFreq: about(
    'Steps between validations; 0 or less leaves only the first and the final one.',
    withDefault(int, -1),
  ),
  epochs: about('Passes over it.', withDefault(positiveInt, 1)),
  maxSteps: about('Optimizer steps; overrides the epochs.', orNull(positiveInt)),
  batchSize: about('Samples per optimizer step.', withDefault(positiveInt, 32)),
  microBatchSize: about('Samples per forward and backward pass.', withDefault(positiveInt, 8)),
  lr: about('Peak learning rate.', withDefault(atLeast(0), 1e-5)),
  lrWarmupSteps: about('Steps over which the rate rises to its peak.', withDefault(intFrom(0), 0)),
  saveCheckpointPath: about(
    "Where the model goes; null is `sft` in the run's folder.",
    orNull(text),
  ),
});
export interface Sft extends t.TypeOf<typeof Sft> {}

/** `transport` (cxmind's own): how actors on several threads and hosts reach each other. */
export const Transport = section({
  collectives: about(
    "What the learners' sums go over: cxmind's own sockets and shared memory, or an MPI library.",
    withDefault(oneOf('zeromq', 'mpi'), 'zeromq'),
  ),
});
export interface Transport extends t.TypeOf<typeof Transport> {}

const Root = section({
  data: about('Prompts.', Data),
  algorithm: about('Formulas.', Algorithm),
  worker: about('Compute.', Worker),
  trainer: about('The loop.', Trainer),
  transport: about('Connections.', Transport),
  sft: about('Supervised training.', Sft),
  curriculum: about(
    'cxmind: stages that follow each other, each starting from the weights the one before ended with.',
    withDefault(listOf(Stage), []),
  ),
});

/**
 * Config of a run: the root of the YAML file.
 *
 * A value from the environment is encoded as the reference that named it. A config is kept in files and sent to
 * trackers, and secrets come from the environment.
 */
export const Config = writtenBy(Root, (config) =>
  withoutEnvironment(Root.encode(config), (config as Config).environmentValues ?? []),
);
export interface Config extends t.TypeOf<typeof Root> {
  /** Absent where no value was read from the environment. */
  readonly environmentValues?: readonly EnvironmentValue[];
}

/**
 * The config with its values from the environment marked, so that they are written as their references.
 *
 * @param texts references by path
 */
export function markEnvironment(config: Config, texts: ReadonlyMap<string, string>): Config {
  return { ...config, environmentValues: environmentValues(Root.encode(config), texts) };
}

/** The config with the marks of the one that it was made from. */
export function markedLike(config: Config, { environmentValues }: Config): Config {
  return environmentValues === undefined ? config : { ...config, environmentValues };
}

/** The config of an empty file. */
export function defaults(): Config {
  const decoded = Config.decode({});
  if (isRight(decoded)) return decoded.right;
  throw new CxmindError('INTERNAL', 'a default of the schema does not decode');
}
