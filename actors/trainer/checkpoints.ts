import { existsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { PromptCursor } from '../../src/data/prompt-source.ts';
import { CxmindError } from '../../src/errors.ts';
import { writeDirectoryAtomically, writeFileAtomically } from '../../src/files.ts';
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
});

/** Which checkpoint is the newest and which the best. */
const Tracker = t.type({
  last_global_step: t.number,
  best_global_step: t.number,
  best_val_reward_score: t.number,
  last_actor_path: t.string,
});
interface Tracker extends t.TypeOf<typeof Tracker> {}

/** A run's place to go on from. */
export interface ResumePoint {
  readonly step: number;
  readonly state: RunState;
}

const TIMEOUT_MS = 3600_000;
const FOLDER = /^global_step_(\d+)$/;

/**
 * The checkpoints of a run's folder:
 *
 * ```
 * checkpoint_tracker.json
 * global_step_N/actor/huggingface/        loads in transformers and vLLM as it is
 * global_step_N/actor/optimizer.safetensors
 * global_step_N/critic/                   the same of the value model, where there is one
 * global_step_N/trainer.json              data position, gates, KL controller
 * ```
 *
 * A folder appears whole or not at all, and the tracker moves only then.
 */
export class Checkpoints {
  readonly #folder: string;
  readonly #limit: number;
  readonly #modelOnly: boolean;

  constructor(folder: string, options: { readonly limit: number; readonly modelOnly: boolean }) {
    this.#folder = folder;
    this.#limit = options.limit;
    this.#modelOnly = options.modelOnly;
  }

  /** Saves a step; then removes what the limit no longer keeps. Returns the Hugging Face directory. */
  async save(
    cast: Pick<Cast, 'learners' | 'critics'>,
    step: number,
    state: RunState,
    validationScore: number,
  ): Promise<string> {
    const target = join(this.#folder, `global_step_${step}`);
    await writeDirectoryAtomically(target, async (directory) => {
      for (const [name, model] of modelsOf(cast)) {
        const message = { directory: resolve(directory, name), modelOnly: this.#modelOnly };
        await model.save(message, { timeoutMs: TIMEOUT_MS });
      }
      const file = { step, ...state };
      await writeFile(join(directory, 'trainer.json'), `${JSON.stringify(file, null, 2)}\n`);
    });
    const actorPath = resolve(target, 'actor');
    const before = await this.#tracker();
    const isBest = before === null || validationScore > before.best_val_reward_score;
    const tracker: Tracker = {
      last_global_step: step,
      best_global_step: isBest ? step : before.best_global_step,
      best_val_reward_score: isBest ? validationScore : before.best_val_reward_score,
      last_actor_path: actorPath,
    };
    await writeFileAtomically(
      join(this.#folder, 'checkpoint_tracker.json'),
      `${JSON.stringify(tracker, null, 2)}\n`,
    );
    await this.#rotate(step, tracker.best_global_step);
    return join(actorPath, 'huggingface');
  }

  /** The newest whole checkpoint, or null when there is none. */
  async newest(): Promise<string | null> {
    const tracker = await this.#tracker();
    if (tracker === null) return null;
    const folder = join(this.#folder, `global_step_${tracker.last_global_step}`);
    return existsSync(folder) ? folder : null;
  }

  async #tracker(): Promise<Tracker | null> {
    const file = join(this.#folder, 'checkpoint_tracker.json');
    return existsSync(file) ? readAs(Tracker, file) : null;
  }

  /** Keeps the newest, the best among the older ones, and the newest of the rest up to the limit. */
  async #rotate(current: number, best: number): Promise<void> {
    if (this.#limit <= 0) return;
    const older = (await readdir(this.#folder))
      .map((name) => Number(FOLDER.exec(name)?.[1] ?? NaN))
      .filter((step) => step < current)
      .sort((a, b) => b - a);
    const slots = Math.max(0, this.#limit - 1 - (older.includes(best) ? 1 : 0));
    const kept = new Set([best, ...older.filter((step) => step !== best).slice(0, slots)]);
    for (const step of older.filter((one) => !kept.has(one))) {
      await rm(join(this.#folder, `global_step_${step}`), { recursive: true, force: true });
    }
  }
}

/** What is trained, by the name of its folder in a checkpoint. */
function modelsOf({
  learners,
  critics,
}: Pick<Cast, 'learners' | 'critics'>): [string, Pick<Cast['learners'], 'save' | 'restore'>][] {
  return critics === null
    ? [['actor', learners]]
    : [
        ['actor', learners],
        ['critic', critics],
      ];
}

/**
 * Restores the learners, and the critics, from a checkpoint folder and returns where the run stood.
 *
 * @throws CHECKPOINT_INVALID naming file and field
 */
export async function restore(
  folder: string,
  cast: Pick<Cast, 'learners' | 'critics'>,
): Promise<ResumePoint> {
  if (!FOLDER.test(basename(folder))) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${folder}: expected a folder called global_step_N, with actor/ and trainer.json in it`,
    );
  }
  const { step, ...state } = await readAs(TrainerFile, join(folder, 'trainer.json'));
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
  return { step, state };
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
