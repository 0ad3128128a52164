import type { DeviceChoice } from '../../src/config/device.ts';
import type { Config } from '../../src/config/schema.ts';
import { CxmindError } from '../../src/errors.ts';
import { chooseDevice } from '../../src/device/choose.ts';
import type { DeviceName } from '../../src/device/open.ts';
import type { Place } from '../runtime/placement.ts';

/**
 * The config with the device that `trainer.device` comes to on this machine.
 *
 * @param note hears why it is that one
 * @throws DEVICE_MISSING where a card was asked for and cannot be used
 */
export function withDevice(config: Config, note: (line: string) => void): Config {
  const chosen = chooseDevice(config.trainer.device);
  if (chosen.note !== null) note(chosen.note);
  return { ...config, trainer: { ...config.trainer, device: chosen.device } };
}

/** The device of a choice that `withDevice` made; where nobody made one, the processor. */
export function deviceOf(choice: DeviceChoice): DeviceName {
  if (choice === 'auto') return 'cpu';
  return choice === 'cuda' ? 'cuda:0' : choice;
}

/**
 * Sees to it that all who compute can reach the device's memory.
 *
 * @throws CONFIG_INVALID
 */
export function checkPlaces(config: Config, places: readonly Place[]): void {
  const device = deviceOf(config.trainer.device);
  if (device === 'cpu' || places.every((place) => place === 'thread')) return;
  throw new CxmindError(
    'CONFIG_INVALID',
    `trainer.device: ${device} trains in one process so far; ` +
      'start the run without other hosts, or set trainer.device=cpu',
  );
}
