import type { DeviceChoice } from '../config/device.ts';
import { asCxmindError } from '../errors.ts';
import { openDevice, type DeviceName } from './open.ts';

/** A device, and why it is that one. */
export interface ChosenDevice {
  readonly device: DeviceName;
  /** A line for the user; null where the choice was theirs. */
  readonly note: string | null;
}

/**
 * The device that a choice comes to: for `auto` a card where one opens, else the processor.
 *
 * @throws DEVICE_MISSING, in one line that says how to get what is missing, where a card was asked for
 */
export function chooseDevice(choice: DeviceChoice): ChosenDevice {
  if (choice === 'cpu' || choice === 'webgpu') return { device: choice, note: null };
  const device = choice === 'auto' || choice === 'cuda' ? 'cuda:0' : choice;
  try {
    openDevice({ device })[Symbol.dispose]();
  } catch (thrown) {
    if (choice !== 'auto') throw thrown;
    const reason = asCxmindError(thrown).message.replace(/^device cuda(:\d+)?: /, '');
    return { device: 'cpu', note: `device: cpu, since ${reason}` };
  }
  return { device, note: choice === 'auto' ? `device: ${device}` : null };
}
