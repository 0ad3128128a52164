import type { DeviceChoice } from '../config/compute.ts';
import { asCxmindError } from '../errors.ts';
import { countCards } from './cuda/cudart.ts';
import { openDevice, type DeviceName } from './open.ts';

/** Devices of this machine, and the reason for their choice. */
interface ChosenDevices {
  /** One device, or several cards from the first on. */
  readonly devices: readonly DeviceName[];
  /** A line for the user; null where the user named the device. */
  readonly note: string | null;
}

/** The machine to choose from. */
export interface Machine {
  /**
   * Opens a device and closes it again.
   *
   * @throws DEVICE_MISSING, in one line that says how to get what is missing
   */
  readonly tryDevice: (device: DeviceName) => void;
  readonly countCards: () => number;
}

const thisMachine: Machine = {
  tryDevice: (device) => {
    openDevice({ device })[Symbol.dispose]();
  },
  countCards,
};

/**
 * Chooses devices: all cards for `cuda`; for `auto` one card if it can be used, else the processor.
 *
 * @param most largest number of cards for `cuda`
 * @throws DEVICE_MISSING where a card was asked for and cannot be used
 */
export function chooseDevices(
  choice: DeviceChoice,
  most: number,
  machine: Machine = thisMachine,
): ChosenDevices {
  if (choice === 'cpu' || choice === 'webgpu') return { devices: [choice], note: null };
  const isAny = choice === 'auto' || choice === 'cuda';
  try {
    machine.tryDevice(isAny ? 'cuda:0' : choice);
  } catch (thrown) {
    if (choice !== 'auto') throw thrown;
    const reason = asCxmindError(thrown).message.replace(/^device cuda(:\d+)?: /, '');
    return { devices: ['cpu'], note: `device: cpu, since ${reason}` };
  }
  if (!isAny) return { devices: [choice], note: null };
  const found = machine.countCards();
  const devices = cards(Math.min(choice === 'auto' ? 1 : most, found));
  const rest = found > devices.length ? ` of ${found} cards` : '';
  return { devices, note: `device: ${devices.join(', ')}${rest}` };
}

/** The names of the first `count` cards. */
export function cards(count: number): DeviceName[] {
  return Array.from({ length: count }, (_, ordinal) => `cuda:${ordinal}` as const);
}
