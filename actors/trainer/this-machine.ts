import { withBatchesPerDevice } from '../../src/config/derive.ts';
import type { Config } from '../../src/config/schema.ts';
import { cards, chooseDevices, type Machine } from '../../src/device/choose.ts';
import type { DeviceName } from '../../src/device/open.ts';
import { withLocalModels } from '../../src/hub/model.ts';
import type { Reporter } from './reporter.ts';

/**
 * The config with the device that `trainer.device` comes to on this machine, and the number of cards where it is `cuda`.
 *
 * @param note hears why it is that one
 * @throws DEVICE_MISSING where a card was asked for and cannot be used
 */
export function withDevice(
  config: Config,
  note: (line: string) => void,
  machine?: Machine,
): Config {
  const { device, nGpusPerNode } = config.trainer;
  const chosen = chooseDevices(device, nGpusPerNode, machine);
  if (chosen.note !== null) note(chosen.note);
  const { devices } = chosen;
  const found = device === 'cuda' ? { nGpusPerNode: devices.length } : { device: devices[0]! };
  return withBatchesPerDevice({ ...config, trainer: { ...config.trainer, ...found } });
}

/** The devices of each host by a choice that `withDevice` made; where nobody made one, the processor. */
export function devicesOf({ device, nGpusPerNode }: Config['trainer']): readonly DeviceName[] {
  if (device === 'cuda') return cards(nGpusPerNode);
  return [device === 'auto' ? 'cpu' : device];
}

/**
 * The config as this machine runs it: its models are directories, as `withLocalModels` finds them, and its device is
 * the one that `withDevice` chooses.
 */
export async function onThisMachine(given: Config, reporter: Reporter): Promise<Config> {
  return withDevice(await withLocalModels(given), (line) => reporter.note(line));
}
