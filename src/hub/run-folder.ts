import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as t from 'io-ts';
import { CxmindError } from '../errors.ts';

/** A trained model by the name of its folder in a checkpoint. */
export type TrainedModel = 'actor' | 'critic';

const Tracker = t.type({ best_global_step: t.number });

/**
 * The Hugging Face directory of a model in what a run leaves: the best checkpoint of the run's folder, or the newest
 * where the best is gone; a folder `global_step_N`; or the one of a model in it. Any other folder comes back as it is.
 *
 * A critic that a checkpoint lacks begins as its actor.
 *
 * @throws CHECKPOINT_INVALID for a run's folder without any whole checkpoint
 */
export function modelIn(folder: string, model: TrainedModel): string {
  if (!statSync(folder).isDirectory()) return folder;
  const steps = stepsIn(folder);
  const checkpoint = steps.map((step) => modelOf(stepFolder(folder, step), model)).find(isFound);
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

/** Steps of a run that checkpoints are there of: the best first, then from the newest on. */
function stepsIn(folder: string): number[] {
  const steps = readdirSync(folder)
    .flatMap((name) => /^global_step_(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a);
  const best = bestStep(folder);
  return best === undefined ? steps : [...steps.filter((step) => step === best), ...steps];
}

/** The best step by the tracker; a tracker that is missing or broken does not matter here. */
function bestStep(folder: string): number | undefined {
  try {
    const file = readFileSync(join(folder, 'checkpoint_tracker.json'), 'utf8');
    const tracker: unknown = JSON.parse(file);
    return Tracker.is(tracker) ? tracker.best_global_step : undefined;
  } catch {
    return undefined;
  }
}

const stepFolder = (folder: string, step: number): string => join(folder, `global_step_${step}`);
const isFound = (path: string | undefined): path is string => path !== undefined;
