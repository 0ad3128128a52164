import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as t from 'io-ts';
import { CxmindError } from '../errors.ts';
import { readWholeSync } from '../files.ts';

/** A trained model by the name of its folder in a checkpoint. */
export type TrainedModel = 'actor' | 'critic';

const Tracker = t.type({ best_global_step: t.number });

/**
 * The Hugging Face directory of a model in what a run leaves: the best checkpoint of the run's folder, or the newest
 * where the best is gone, of a curriculum in its latest stage; a folder `global_step_N`; or the one of a model in it.
 * Any other folder comes back as it is.
 *
 * A critic that a checkpoint lacks begins as its actor.
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

/** The model of a folder `global_step_N`, or in the folder of one model. */
function modelOf(folder: string, model: TrainedModel): string | undefined {
  return [join(folder, model), join(folder, 'actor'), folder]
    .map((candidate) => join(candidate, 'huggingface'))
    .find((candidate) => existsSync(join(candidate, 'config.json')));
}

/** Folders of a curriculum's stages, as in `2-open`, from the latest on. */
function stagesIn(folder: string): string[] {
  return numbered(folder, /^(\d+)-/).map(({ path }) => path);
}

/** Folders of a run's checkpoints: that of the best step first, then from the newest on. */
function stepsIn(folder: string): string[] {
  const steps = numbered(folder, /^global_step_(\d+)$/);
  const best = bestStep(folder);
  return [...steps.filter(({ number }) => number === best), ...steps].map(({ path }) => path);
}

/** What is in a folder under names with a number, which the pattern captures; the largest first. */
function numbered(folder: string, pattern: RegExp): { path: string; number: number }[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && pattern.test(entry.name))
    .map(({ name }) => ({ path: join(folder, name), number: Number(pattern.exec(name)![1]) }))
    .sort((a, b) => b.number - a.number);
}

/** The best step by the tracker; a tracker that is missing or broken does not matter here. */
function bestStep(folder: string): number | undefined {
  try {
    const file = readWholeSync(join(folder, 'checkpoint_tracker.json'));
    const tracker: unknown = JSON.parse(file.toString());
    return Tracker.is(tracker) ? tracker.best_global_step : undefined;
  } catch {
    return undefined;
  }
}
