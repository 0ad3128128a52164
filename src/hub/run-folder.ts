import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as t from 'io-ts';
import { parsedJson } from '../check/json.ts';
import { attempt, CxmindError } from '../errors.ts';
import { readWholeSync } from '../files.ts';

/** Trained model, by the name of its folder in a checkpoint. */
export type TrainedModel = 'actor' | 'critic';

const Tracker = t.type({ best_global_step: t.number });

/**
 * Finds the Hugging Face directory of a model that a run saved.
 *
 * `folder` is a run's folder, a folder `global_step_N`, or the folder of one model in it. A run's folder gives its best
 * checkpoint, or the newest if the best is gone. A curriculum gives that of its latest stage. Any other folder is
 * returned as it is. A checkpoint without a critic gives its actor.
 *
 * @throws CHECKPOINT_INVALID for a run's folder without any whole checkpoint
 */
export function modelIn(folder: string, model: TrainedModel): string {
  if (!statSync(folder).isDirectory()) return folder;
  const steps = [folder, ...stagesIn(folder)].flatMap(stepsIn);
  const checkpoint = steps.map((step) => modelOf(step, model)).find((path) => path !== undefined);
  if (checkpoint !== undefined) return checkpoint;
  if (steps.length > 0) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${folder}: no global_step_N in it holds actor/huggingface/config.json`,
      { detail: { folder } },
    );
  }
  return modelOf(folder, model) ?? folder;
}

/** Directory of a model in a folder `global_step_N`, or in the folder of one model. */
function modelOf(folder: string, model: TrainedModel): string | undefined {
  return [join(folder, model), join(folder, 'actor'), folder]
    .map((candidate) => join(candidate, 'huggingface'))
    .find((candidate) => existsSync(join(candidate, 'config.json')));
}

/** Folders of a curriculum's stages, such as `2-open`, latest first. */
function stagesIn(folder: string): string[] {
  return numbered(folder, /^(\d+)-/).map(({ path }) => path);
}

/** Folders of a run's checkpoints: the best step first, then newest first. */
function stepsIn(folder: string): string[] {
  const steps = numbered(folder, /^global_step_(\d+)$/);
  const best = bestStep(folder);
  return [...steps.filter(({ number }) => number === best), ...steps].map(({ path }) => path);
}

/** Subfolders whose names have a number, which the pattern captures; largest first. */
function numbered(folder: string, pattern: RegExp): { path: string; number: number }[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && pattern.test(entry.name))
    .map(({ name }) => ({ path: join(folder, name), number: Number(pattern.exec(name)![1]) }))
    .sort((a, b) => b.number - a.number);
}

/** Best step by the run's tracker; undefined if the tracker is missing or broken. */
function bestStep(folder: string): number | undefined {
  const file = attempt(() => readWholeSync(join(folder, 'checkpoint_tracker.json')));
  const tracker = parsedJson(file?.toString() ?? '');
  return Tracker.is(tracker) ? tracker.best_global_step : undefined;
}
