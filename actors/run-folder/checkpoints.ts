/**
 * The checkpoints of a run's folder:
 *
 * ```
 * checkpoint_tracker.json
 * global_step_N/actor/huggingface/        loads in transformers and vLLM as it is
 * global_step_N/actor/optimizer.safetensors
 * global_step_N/critic/                   the same of the value model, where there is one
 * global_step_N/rollouts.safetensors      responses sampled ahead, where there are any
 * global_step_N/reference/                weights of a reference that has moved
 * global_step_N/trainer.json              data position, gates, KL controller, what is left of the step
 * ```
 *
 * A folder appears whole or not at all, and the tracker is written after it. A run resumes from the folders that are
 * there; the tracker only remembers the best.
 */
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import * as t from 'io-ts';
import { readJson } from '../../src/check/json.ts';
import { PromptCursor } from '../../src/data/prompt-source.ts';
import { CxmindError } from '../../src/errors.ts';
import { putDirectoriesRight, writeDirectoryAtomically, writeJson } from '../../src/files.ts';
import type { Metrics } from '../../src/metrics.ts';
import { SafetensorsReader } from '../../src/model/checkpoint/safetensors.ts';
import type { StateRequest } from '../joint/protocol.ts';
import type { AskOptions } from '../runtime/ref.ts';
import { TRACKER } from './files.ts';

const RunningMean = t.type({ ema: t.union([t.number, t.null]) });
const KlState = t.union([
  t.type({ kind: t.literal('fixed'), coef: t.number }),
  t.type({ kind: t.literal('adaptive'), coef: t.number, target: t.number, horizon: t.number }),
]);

/** A task's place in its data, and its gate. */
const TaskState = t.readonly(t.type({ cursor: PromptCursor, gate: RunningMean }));

const state = {
  cursor: PromptCursor,
  gate: RunningMean,
  validationGate: RunningMean,
  klController: KlState,
  /** Weight of the entropy bonus, where it adapts; else the config has it. */
  entropyCoeff: t.union([t.number, t.undefined]),
  /** Nearness of a stage of a curriculum to its end. */
  advance: RunningMean,
  /** The state of each earlier stage that goes on. */
  replay: t.readonlyArray(TaskState),
};
/** State that a run carries from step to step, besides that of its models. */
export interface RunState extends Readonly<t.TypeOf<t.TypeC<typeof state>>> {}

/** Content of `trainer.json`: a checkpoint without its models. */
const TrainerFile = t.type({
  step: t.number,
  ...state,
  /**
   * Metrics of the step when the run was stopped before the validation that belongs to it: a resumed run validates
   * first.
   */
  unfinished: t.union([t.record(t.string, t.union([t.number, t.null])), t.null, t.undefined]),
  /** Accuracy of the validation before the first step, for the summary. */
  accuracyBefore: t.union([t.number, t.null, t.undefined]),
});

/** Content of the tracker: the newest checkpoint and the best. */
const Tracker = t.type({
  best_global_step: t.number,
  best_val_reward_score: t.number,
  last_global_step: t.number,
  last_actor_path: t.string,
});
interface Tracker extends t.TypeOf<typeof Tracker> {}

/** The place that a run resumes from. */
export interface ResumePoint {
  readonly step: number;
  readonly state: RunState;
  /** Metrics of a step whose validation is still to be done. */
  readonly unfinished: Metrics | null;
  /** Accuracy of the validation before the first step; null where there was none. */
  readonly accuracyBefore: number | null;
}

/** A keeper of a model, which saves and restores it. */
interface ModelKeeper {
  save(request: StateRequest, options: AskOptions): Promise<void>;
  restore(request: StateRequest, options: AskOptions): Promise<void>;
}

/** The actors that keep the models of a run. */
interface Keepers {
  readonly learners: ModelKeeper;
  readonly critics: ModelKeeper | null;
  /** Null without a reference. Its weights are kept once they have moved. */
  readonly reference: { readonly weights: ModelKeeper & { readonly hasMoved: boolean } } | null;
}

/** A checkpoint to be written, besides the models that their keepers save. */
export interface SaveRequest extends ResumePoint {
  /** The score of the newest validation. */
  readonly score: number;
  /** Writes the checkpoint's other files into its folder. */
  readonly writeMore: (directory: string) => Promise<void>;
  /** Called with the seconds it took once all is written, before the folder gets its name. */
  readonly beforeNaming: (seconds: number) => Promise<void>;
}

const TIMEOUT_MS = 3600_000;
const FOLDER = /^global_step_(\d+)$/;
const STATE = 'optimizer.safetensors';
const REFERENCE = 'reference';
const REFERENCE_STATE = 'weights.safetensors';

/** Writer of a run's checkpoints, which removes those beyond its limit and finds the newest that is sound. */
export class Checkpoints {
  readonly #folder: string;
  readonly #limit: number;
  readonly #modelOnly: boolean;
  #best: { readonly step: number; readonly score: number } | null = null;

  constructor(folder: string, options: { readonly limit: number; readonly modelOnly: boolean }) {
    this.#folder = folder;
    this.#limit = options.limit;
    this.#modelOnly = options.modelOnly;
  }

  /**
   * Saves a step, then removes the checkpoints beyond the limit. EasyR1 removes first, so that a crash between leaves
   * too few.
   *
   * @returns the Hugging Face directory
   */
  async save(keepers: Keepers, request: SaveRequest): Promise<string> {
    const { step, state, score, unfinished, accuracyBefore, writeMore, beforeNaming } = request;
    const started = performance.now();
    const target = this.#pathOf(step);
    await writeDirectoryAtomically(target, async (directory) => {
      for (const [name, model] of keepersOf(keepers)) {
        if (name === REFERENCE && keepers.reference?.weights.hasMoved !== true) continue;
        const message = { directory: resolve(directory, name), modelOnly: this.#modelOnly };
        await model.save(message, { timeoutMs: TIMEOUT_MS });
      }
      await writeMore(directory);
      const file = { step, ...state, unfinished, accuracyBefore };
      await writeJson(join(directory, 'trainer.json'), file);
      await beforeNaming((performance.now() - started) / 1000);
    });
    await this.score(step, score);
    await this.#rotate(step, this.#best?.step ?? step);
    return join(resolve(target, 'actor'), 'huggingface');
  }

  /**
   * Writes the tracker: this step is the newest, and the best if its score is above all before it.
   *
   * Scores are compared with 4 decimals, as the tracker keeps them, so that a resumed run finds the same best.
   */
  async score(step: number, score: number): Promise<void> {
    const rounded = Number(score.toFixed(4));
    if (this.#best === null || rounded > this.#best.score) this.#best = { step, score: rounded };
    const tracker: Tracker = {
      best_global_step: this.#best.step,
      best_val_reward_score: this.#best.score,
      last_global_step: step,
      last_actor_path: resolve(this.#pathOf(step), 'actor'),
    };
    await writeJson(join(this.#folder, TRACKER), tracker);
  }

  /**
   * Finds the newest checkpoint that a run can resume from; null where there is none at all.
   *
   * @param tell called with the reason why each newer one cannot be resumed
   * @throws CHECKPOINT_INVALID where there are, or were, checkpoints, and none of them can be resumed
   */
  async newest(tell: (problem: string) => void): Promise<string | null> {
    if (!existsSync(this.#folder)) return null;
    await putDirectoriesRight(this.#folder);
    const steps = await this.#steps();
    const problems: string[] = [];
    for (const step of steps.sort((a, b) => b - a)) {
      const folder = this.#pathOf(step);
      const problem = await problemOf(folder, step);
      if (problem === null) return folder;
      problems.push(problem);
      tell(problem);
    }
    if (steps.length === 0 && !existsSync(join(this.#folder, TRACKER))) return null;
    const found = problems.length === 0 ? `${TRACKER} is there, and no checkpoint` : problems[0]!;
    throw invalid(
      `${this.#folder}: there is a run, and nothing to go on from: ${found}; put a checkpoint back, or start afresh by ` +
        'trainer.find_last_checkpoint=false, which keeps what is there in a folder beside it',
    );
  }

  /** Folder names of the checkpoints after a step. */
  async namesAfter(step: number): Promise<string[]> {
    if (!existsSync(this.#folder)) return [];
    return (await this.#steps()).filter((saved) => saved > step).map(nameOf);
  }

  /** Remembers the best step of a checkpoint's run, as its tracker has it. */
  async recallBest(checkpoint: string, step: number): Promise<void> {
    const file = join(dirname(resolve(checkpoint)), TRACKER);
    const tracker = await readJson(Tracker, file).catch(() => null);
    if (tracker === null || tracker.best_global_step > step) return;
    this.#best = { step: tracker.best_global_step, score: tracker.best_val_reward_score };
  }

  #pathOf(step: number): string {
    return join(this.#folder, nameOf(step));
  }

  async #steps(): Promise<number[]> {
    const steps = (await readdir(this.#folder)).map((name) => Number(FOLDER.exec(name)?.[1]));
    return steps.filter((step) => !Number.isNaN(step));
  }

  async #rotate(current: number, best: number): Promise<void> {
    for (const step of obsoleteSteps(await this.#steps(), current, best, this.#limit)) {
      await rm(this.#pathOf(step), { recursive: true, force: true });
    }
  }
}

function nameOf(step: number): string {
  return `global_step_${step}`;
}

/** The reason why a checkpoint cannot be resumed, or null. Its tensors are not read. */
async function problemOf(folder: string, step: number): Promise<string | null> {
  try {
    const file = await readJson(TrainerFile, join(folder, 'trainer.json'));
    if (file.step !== step) return `${folder}: its trainer.json is of step ${file.step}`;
    const models = ['actor', ...(existsSync(join(folder, 'critic')) ? ['critic'] : [])];
    const states = models.map((name) => join(folder, name, STATE));
    if (!states.every(existsSync)) return weightsOnly(folder);
    const moved = join(folder, REFERENCE);
    if (existsSync(moved)) states.push(join(moved, REFERENCE_STATE));
    for (const state of states) await (await SafetensorsReader.open(state))[Symbol.asyncDispose]();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

function weightsOnly(folder: string): string {
  return (
    `${folder} was saved with save_model_only and cannot be resumed; ` +
    'start from its actor/huggingface as worker.actor.model.model_path instead'
  );
}

/** The keepers of a run's models by the names of their folders. */
function keepersOf({ learners, critics, reference }: Keepers): [string, ModelKeeper][] {
  const keepers = { actor: learners, critic: critics, [REFERENCE]: reference?.weights ?? null };
  return Object.entries(keepers).flatMap(([name, one]) => (one === null ? [] : [[name, one]]));
}

/**
 * The saved steps to remove after a new one: all but the newest `limit - 1`, of which the best step is always one.
 *
 * @param limit 0 or less keeps all
 */
export function obsoleteSteps(
  saved: readonly number[],
  current: number,
  best: number,
  limit: number,
): number[] {
  if (limit <= 0) return [];
  const older = saved.filter((step) => step < current).sort((a, b) => b - a);
  const slots = Math.max(0, limit - 1 - (older.includes(best) ? 1 : 0));
  const kept = new Set([best, ...older.filter((step) => step !== best).slice(0, slots)]);
  return older.filter((step) => !kept.has(step));
}

/**
 * Restores learners, critics and a reference that has moved from a checkpoint folder.
 *
 * @returns the place that the run resumes from
 * @throws CHECKPOINT_INVALID naming file and field
 */
export async function restore(folder: string, keepers: Keepers): Promise<ResumePoint> {
  if (!basename(folder).includes('global_step_')) {
    throw invalid(
      `${folder}: expected a folder called global_step_N, with actor/ and trainer.json in it`,
    );
  }
  const file = await readJson(TrainerFile, join(folder, 'trainer.json'));
  const { step, unfinished = null, accuracyBefore = null, ...state } = file;
  for (const [name, model] of keepersOf(keepers)) {
    const directory = resolve(folder, name);
    if (!existsSync(directory)) {
      if (name === REFERENCE) continue;
      throw invalid(`${folder} has no ${name}: it was saved by a run without one`);
    }
    const isWhole = name === REFERENCE || existsSync(join(directory, STATE));
    if (!isWhole) throw invalid(weightsOnly(folder));
    await model.restore({ directory, modelOnly: false }, { timeoutMs: TIMEOUT_MS });
  }
  return { step, state, unfinished: unfinished && withNaN(unfinished), accuracyBefore };
}

function invalid(message: string): CxmindError {
  return new CxmindError('CHECKPOINT_INVALID', message);
}

/** Metrics with NaN again where JSON wrote null. */
function withNaN(metrics: Readonly<Record<string, number | null>>): Metrics {
  const entries = Object.entries(metrics).map(([name, value]) => [name, value ?? NaN] as const);
  return Object.fromEntries(entries);
}
