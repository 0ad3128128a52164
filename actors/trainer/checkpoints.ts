import { existsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { PromptCursor } from '../../src/data/prompt-source.ts';
import { CxmindError } from '../../src/errors.ts';
import { writeDirectoryAtomically, writeFileAtomically } from '../../src/files.ts';
import type { Metrics } from '../../src/metrics.ts';
import type { Cast } from './cast.ts';
import type { RunState } from './step.ts';

const RunningMean = t.type({ ema: t.union([t.number, t.null]) });
const KlState = t.union([
  t.type({ kind: t.literal('fixed'), coef: t.number }),
  t.type({ kind: t.literal('adaptive'), coef: t.number, target: t.number, horizon: t.number }),
]);

/** What a checkpoint keeps besides the learners' files. */
const TrainerFile = t.type({
  step: t.number,
  cursor: PromptCursor,
  gate: RunningMean,
  validationGate: RunningMean,
  klController: KlState,
  advance: RunningMean,
  replay: t.readonlyArray(t.type({ cursor: PromptCursor, gate: RunningMean })),
  /**
   * Metrics of the step, kept here when the run was stopped before the validation that belongs to it: whoever resumes
   * validates first.
   */
  unfinished: t.union([t.record(t.string, t.union([t.number, t.null])), t.null, t.undefined]),
});

/** Which checkpoint is the newest and which the best. */
const Tracker = t.type({
  best_global_step: t.number,
  best_val_reward_score: t.number,
  last_global_step: t.number,
  last_actor_path: t.string,
});
interface Tracker extends t.TypeOf<typeof Tracker> {}

/** A run's place to go on from. */
export interface ResumePoint {
  readonly step: number;
  readonly state: RunState;
  /** Metrics of a step whose validation is still to be done. */
  readonly unfinished: Metrics | null;
}

/** What a checkpoint is saved with. */
export interface SaveRequest {
  readonly step: number;
  readonly state: RunState;
  /** The score of the newest validation. */
  readonly score: number;
  /** As in `ResumePoint`. */
  readonly unfinished: Metrics | null;
  /** Called with the seconds it took once all is written, before the folder gets its name. */
  readonly beforeNaming: (seconds: number) => Promise<void>;
}

const TIMEOUT_MS = 3600_000;
const FOLDER = /^global_step_(\d+)$/;
const TRACKER = 'checkpoint_tracker.json';

/**
 * The checkpoints of a run's folder:
 *
 * ```
 * checkpoint_tracker.json
 * global_step_N/actor/huggingface/        loads in transformers and vLLM as it is
 * global_step_N/actor/optimizer.safetensors
 * global_step_N/critic/                   the same of the value model, where there is one
 * global_step_N/trainer.json              data position, gates, KL controller, what is left of the step
 * ```
 *
 * A folder appears whole or not at all, and the tracker moves only then.
 */
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
   * Saves a step; then removes what the limit no longer keeps, where the reference removes first and a crash between
   * leaves too few. Returns the Hugging Face directory.
   */
  async save(cast: Trained, request: SaveRequest): Promise<string> {
    const { step, state, score, unfinished, beforeNaming } = request;
    const started = performance.now();
    const target = join(this.#folder, `global_step_${step}`);
    await writeDirectoryAtomically(target, async (directory) => {
      for (const [name, model] of modelsOf(cast)) {
        const message = { directory: resolve(directory, name), modelOnly: this.#modelOnly };
        await model.save(message, { timeoutMs: TIMEOUT_MS });
      }
      const file = { step, ...state, unfinished };
      await writeFile(join(directory, 'trainer.json'), `${JSON.stringify(file, null, 2)}\n`);
      await beforeNaming((performance.now() - started) / 1000);
    });
    await this.score(step, score);
    await this.#rotate(step, this.#best?.step ?? step);
    return join(resolve(target, 'actor'), 'huggingface');
  }

  /**
   * Writes the tracker: this step is the newest, and the best if its score is above all before it.
   *
   * Scores are compared as the tracker keeps them, to 4 decimals, so that a resumed run finds the same best.
   */
  async score(step: number, score: number): Promise<void> {
    const rounded = Number(score.toFixed(4));
    if (this.#best === null || rounded > this.#best.score) this.#best = { step, score: rounded };
    const tracker: Tracker = {
      best_global_step: this.#best.step,
      best_val_reward_score: this.#best.score,
      last_global_step: step,
      last_actor_path: resolve(this.#folder, `global_step_${step}`, 'actor'),
    };
    await writeFileAtomically(join(this.#folder, TRACKER), `${JSON.stringify(tracker, null, 2)}\n`);
  }

  /**
   * The checkpoint that the tracker names as the newest.
   *
   * @returns null without a tracker
   */
  async newest(): Promise<{ readonly folder: string; readonly is: 'there' | 'missing' } | null> {
    const tracker = await this.#tracker(this.#folder);
    if (tracker === null) return null;
    const folder = join(this.#folder, `global_step_${tracker.last_global_step}`);
    return { folder, is: existsSync(folder) ? 'there' : 'missing' };
  }

  /** Remembers the best step so far of the run that a checkpoint is of, as far as its tracker tells. */
  async recallBest(checkpoint: string, step: number): Promise<void> {
    const tracker = await this.#tracker(dirname(resolve(checkpoint)));
    if (tracker === null || tracker.best_global_step > step) return;
    this.#best = { step: tracker.best_global_step, score: tracker.best_val_reward_score };
  }

  async #tracker(folder: string): Promise<Tracker | null> {
    const file = join(folder, TRACKER);
    return existsSync(file) ? readAs(Tracker, file) : null;
  }

  async #rotate(current: number, best: number): Promise<void> {
    const steps = (await readdir(this.#folder)).map((name) =>
      Number(FOLDER.exec(name)?.[1] ?? NaN),
    );
    for (const step of obsoleteSteps(steps, current, best, this.#limit)) {
      await rm(join(this.#folder, `global_step_${step}`), { recursive: true, force: true });
    }
  }
}

/** Those who keep what a run trains. */
type Trained = Pick<Cast, 'learners' | 'critics'>;

/** What is trained, by the name of its folder in a checkpoint. */
function modelsOf({
  learners,
  critics,
}: Trained): [string, Pick<Cast['learners'], 'save' | 'restore'>][] {
  return critics === null
    ? [['actor', learners]]
    : [
        ['actor', learners],
        ['critic', critics],
      ];
}

/**
 * The saved steps that a new one makes obsolete: all but the newest `limit - 1` before it, of which the best one, if it
 * is there, always is one.
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
 * Restores the learners, and the critics, from a checkpoint folder and returns where the run stood.
 *
 * @throws CHECKPOINT_INVALID naming file and field
 */
export async function restore(folder: string, cast: Trained): Promise<ResumePoint> {
  if (!basename(folder).includes('global_step_')) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${folder}: expected a folder called global_step_N, with actor/ and trainer.json in it`,
    );
  }
  const file = await readAs(TrainerFile, join(folder, 'trainer.json'));
  const { step, unfinished = null, ...state } = file;
  for (const [name, model] of modelsOf(cast)) {
    const directory = resolve(folder, name);
    if (!existsSync(directory)) {
      throw new CxmindError(
        'CHECKPOINT_INVALID',
        `${folder} has no ${name}: it was saved by a run without one`,
      );
    }
    if (!existsSync(join(directory, 'optimizer.safetensors'))) {
      throw new CxmindError(
        'CHECKPOINT_INVALID',
        `${folder} was saved with save_model_only and cannot be resumed; ` +
          'start from its actor/huggingface as worker.actor.model.model_path instead',
      );
    }
    await model.restore({ directory, modelOnly: false }, { timeoutMs: TIMEOUT_MS });
  }
  return { step, state, unfinished: unfinished && withNaN(unfinished) };
}

/** Metrics as JSON gave them back, which writes NaN as null. */
function withNaN(metrics: Readonly<Record<string, number | null>>): Metrics {
  const entries = Object.entries(metrics).map(([name, value]) => [name, value ?? NaN] as const);
  return Object.fromEntries(entries);
}

async function readAs<A>(codec: t.Type<A, unknown>, file: string): Promise<A> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CxmindError('CHECKPOINT_INVALID', `${file}: ${reason}`, { cause });
  }
  const decoded = codec.decode(json);
  if (!isLeft(decoded)) return decoded.right;
  const path = decoded.left[0]?.context.map(({ key }) => key).filter((key) => key !== '');
  throw new CxmindError(
    'CHECKPOINT_INVALID',
    `${file}: ${path?.join('.') ?? ''} is not what a checkpoint has`,
  );
}
