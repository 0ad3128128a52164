import type { Config } from '../../src/config/schema.ts';
import { withLocalModels } from '../../src/hub/model.ts';
import { withDevice } from './device.ts';
import type { Reporter } from './reporter.ts';

/**
 * The config as this machine runs it: its models are directories, as `withLocalModels` finds them, and its device is
 * the one that `withDevice` chooses.
 */
export async function onThisMachine(given: Config, reporter: Reporter): Promise<Config> {
  return withDevice(await withLocalModels(given), (line) => reporter.note(line));
}
