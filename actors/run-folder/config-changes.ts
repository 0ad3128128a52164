/**
 * Differences between a run's config and the one that its folder was started with: those that count, and those that
 * no checkpoint fits.
 */
import { isAbsolute, join, relative } from 'node:path';
import * as t from 'io-ts';
import {
  advantageEstimators,
  needsCritic,
  type AdvantageEstimatorName,
} from '../../src/algorithms/advantage.ts';
import { jsonIn } from '../../src/check/json.ts';
import { CxmindError } from '../../src/errors.ts';
import { byKey } from '../../src/loggers/nesting.ts';

/** A key of the config whose value differs from the one that the run was started with last. */
export interface ConfigChange {
  readonly key: string;
  readonly before: unknown;
  readonly now: unknown;
}

type Tree = Readonly<Record<string, unknown>>;

const FOLDER_KEY = 'trainer.save_checkpoint_path';

/** Keys that repeat other keys, or name a place of the run rather than its work. */
const repeating: readonly RegExp[] = [
  /^sft\./,
  /^curriculum/,
  /^worker\.ref\.(?!fsdp|sync_ref_model|ref_model_)/,
  /^worker\.actor\.(disable_kl|use_kl_loss|kl_penalty|kl_coef)$/,
  /^worker\.(actor|critic)\.global_batch_size_per_device$/,
  /^worker\.(actor|critic)\.model\.tokenizer_path$/,
  /^worker\.rollout\.(prompt_length|response_length|trust_remote_code)$/,
  /^trainer\.(save_checkpoint_path|load_checkpoint_path|find_last_checkpoint|val_only|profile|dashboard.*|.*_data_dir)$/,
];

/** Keys that decide the shape of the weights and of the optimizer's state. */
const ofTheState: readonly RegExp[] = [
  /^worker\.actor\.model\.(model_path|freeze_vision_tower|lora\..*|override_config\..*)$/,
  /^worker\.actor\.(optim\.strategy|fsdp\.torch_dtype)$/,
];
const ofTheCritic: readonly RegExp[] = [
  /^worker\.critic\.model\.(model_path|freeze_vision_tower|override_config\..*)$/,
  /^worker\.critic\.(optim\.strategy|fsdp\.torch_dtype)$/,
];

/**
 * The differences between two configs in YAML spelling, in the order of the second.
 *
 * A key that only one of them has comes from another version and is left out. Paths inside the run's folder are
 * compared relative to it, as the folder may have moved.
 */
export function configChanges(before: Tree, now: Tree): ConfigChange[] {
  const [old, own] = [byKey(before), byKey(now)];
  return Object.entries(own).flatMap(([key, value]): ConfigChange[] => {
    if (!(key in old) || repeating.some((pattern) => pattern.test(key))) return [];
    if (withinRun(old, old[key]) === withinRun(own, value)) return [];
    return [{ key, before: old[key], now: value }];
  });
}

/** The changes as lines to read. */
export function changeLines(changes: readonly ConfigChange[]): string[] {
  return changes.map(
    ({ key, before, now }) =>
      `  ${key}: ${JSON.stringify(before)} before, ${JSON.stringify(now)} now`,
  );
}

/**
 * Refuses changes that do not fit the weights and moments of a checkpoint.
 *
 * @throws CHECKPOINT_INVALID naming the keys, and the ways out
 */
export function refuseMisfits(
  changes: readonly ConfigChange[],
  checkpoint: string,
  hasCritic: boolean,
): void {
  const keys = hasCritic ? [...ofTheState, ...ofTheCritic] : ofTheState;
  const misfits = changes.filter(
    ({ key, before, now }) =>
      keys.some((pattern) => pattern.test(key)) ||
      (key === 'algorithm.adv_estimator' && isOfCritic(before) !== isOfCritic(now)),
  );
  if (misfits.length === 0) return;
  const lines = changeLines(misfits).map((line) => line.trim());
  throw new CxmindError(
    'CHECKPOINT_INVALID',
    `${checkpoint} is of another training: ${lines.join('; ')}; name another folder by ${FOLDER_KEY} for a new run, ` +
      `or go on all the same by trainer.load_checkpoint_path=${checkpoint}`,
    { detail: { checkpoint, keys: misfits.map(({ key }) => key) } },
  );
}

/** True for the config name of an estimator with a critic. */
function isOfCritic(estimator: unknown): boolean {
  const names = Object.keys(advantageEstimators) as AdvantageEstimatorName[];
  return names.some((name) => name === estimator && needsCritic(name));
}

/** Reads the config that a run was started with last; null where there is none that can be read. */
export async function configOfRun(folder: string): Promise<Tree | null> {
  return (await jsonIn(t.UnknownRecord, join(folder, 'config.json'))) ?? null;
}

/** A value as text; a path inside the run's folder is relative to it. */
function withinRun(config: Tree, value: unknown): string {
  const folder = config[FOLDER_KEY];
  const isPath = typeof value === 'string' && typeof folder === 'string' && isAbsolute(value);
  if (!isPath) return JSON.stringify(value);
  // A stage's folder is inside the whole run's, as is that of the stage before.
  const inside = relative(folder, value);
  return inside.startsWith(join('..', '..')) ? JSON.stringify(value) : `within ${inside}`;
}
