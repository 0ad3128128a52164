/**
 * Rules about the folders that keep responses, `trainer.rollout_data_dir` and `trainer.validation_data_dir`.
 *
 * verl takes any folder. Here they belong to one run, which replaces files of steps that it takes anew and sets aside
 * what an earlier run left, so they lie inside the run's folder and apart from each other.
 */
import { isAbsolute, relative, resolve, sep } from 'node:path';
import type { Rule } from './rule.ts';
import type { Trainer } from './schema.ts';

type SampleKey = keyof Pick<Trainer, 'rolloutDataDir' | 'validationDataDir'>;

/** Stands for the folder of a run, wherever that is. */
const RUN = resolve(sep, 'run');

const placeOf = (name: string): string => resolve(RUN, name);

/** True where a place is a folder or lies in it. */
function isWithin(place: string, folder: string): boolean {
  const path = relative(folder, place);
  return path.split(sep)[0] !== '..' && !isAbsolute(path);
}

/** The rule that a folder of samples lies inside the run's. */
function insideRule(key: string, field: SampleKey, example: string): Rule {
  return {
    keys: [key],
    broken: ({ trainer }) => {
      const name = trainer[field];
      if (name === null) return undefined;
      const isInside = isWithin(placeOf(name), RUN) && placeOf(name) !== RUN;
      return isInside && !isAbsolute(name)
        ? undefined
        : `expected the name of a folder inside the run's, such as ${example}, got ${JSON.stringify(name)}; ` +
            'trainer.save_checkpoint_path says where the run itself lies';
    },
  };
}

/** The rules of the folders that keep responses. */
export const sampleRules: readonly Rule[] = [
  insideRule('trainer.rollout_data_dir', 'rolloutDataDir', 'rollouts'),
  insideRule('trainer.validation_data_dir', 'validationDataDir', 'validations'),
  {
    keys: ['trainer.validation_data_dir', 'trainer.rollout_data_dir'],
    broken: ({ trainer: { rolloutDataDir: rollouts, validationDataDir: validations } }) => {
      if (rollouts === null || validations === null) return undefined;
      const [one, other] = [placeOf(rollouts), placeOf(validations)];
      return isWithin(one, other) || isWithin(other, one)
        ? `${JSON.stringify(validations)} is not apart from trainer.rollout_data_dir = ${JSON.stringify(rollouts)}; ` +
            'name two folders of which neither lies in the other, such as validations and rollouts'
        : undefined;
    },
  },
];
