/** A config as this machine runs it: devices are chosen, and models are local directories. */
import { withBatchesPerDevice } from '../../src/config/derive.ts';
import type { Config } from '../../src/config/schema.ts';
import { cards, chooseDevices, type Machine } from '../../src/device/choose.ts';
import type { DeviceName } from '../../src/device/open.ts';
import { CxmindError } from '../../src/errors.ts';
import { withLocalModels } from '../../src/hub/model.ts';
import type { Reporter } from './report/reporter.ts';

/**
 * Chooses the device of `trainer.device` on this machine; for `cuda`, the number of its cards.
 *
 * @param note called with the choice and its reason
 * @throws DEVICE_MISSING where a card was asked for and cannot be used, CONFIG_INVALID for several cards on one thread
 */
export function withDevice(
  config: Config,
  note: (line: string) => void,
  machine?: Machine,
): Config {
  const { device, nGpusPerNode, localMode } = config.trainer;
  const chosen = chooseDevices(device, nGpusPerNode, machine);
  if (chosen.note !== null) note(chosen.note);
  const { devices } = chosen;
  if (localMode && devices.length > 1) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `trainer.local_mode: ${devices.length} cards train together, each from a thread of its own; set trainer.device=cuda:0`,
    );
  }
  const found = device === 'cuda' ? { nGpusPerNode: devices.length } : { device: devices[0]! };
  return withBatchesPerDevice({ ...config, trainer: { ...config.trainer, ...found } });
}

/** The devices of each host in a config that `withDevice` returned; before that, `auto` is the processor. */
export function devicesOf({ device, nGpusPerNode }: Config['trainer']): readonly DeviceName[] {
  if (device === 'cuda') return cards(nGpusPerNode);
  return [device === 'auto' ? 'cpu' : device];
}

/** The config as this machine runs it: models of the hub are local directories, and the device is chosen. */
export async function onThisMachine(given: Config, reporter: Reporter): Promise<Config> {
  return withDevice(await withLocalModels(given), (line) => reporter.note(line));
}
