import type { Device, View } from '../device/device.ts';
import { CxmindError } from '../errors.ts';
import type { LearnerGroup } from './learner-group.ts';

/** What learners exchange in an optimizer step, from device to device. */
export interface DeviceExchange {
  /** Adds up `input`, one equal part for each learner, and leaves the own part of the sum in `output`. */
  reduceScatter(input: View<'f32'>, output: View<'f32'>): Promise<void>;
  /** Everybody's `input`, in the order of ranks, into everybody's `output`; may be its own part of it. */
  allGather(input: View, output: View): Promise<void>;
}

/** The learners that optimize together. */
export interface Sharing {
  readonly group: LearnerGroup;
  /** Whether all learners step the same memory, so that no weights need to travel. */
  readonly sharesWeights: boolean;
  /** Between devices with memory of their own; by way of the group where it is absent. */
  readonly exchange?: DeviceExchange;
}

/** Of a learner that is alone: its gradients are the sum. */
const nothing: DeviceExchange = {
  reduceScatter: () => Promise.resolve(),
  allGather: () => Promise.resolve(),
};

/**
 * How the learners of a group exchange what lies on their devices.
 *
 * @throws PLACEMENT_FAILED where their devices have memory of their own and no way between them
 */
export function exchangeOf({ host, name }: Device, { group, exchange }: Sharing): DeviceExchange {
  if (group.size === 1) return nothing;
  if (exchange !== undefined) return exchange;
  if (host === null) {
    throw new CxmindError(
      'PLACEMENT_FAILED',
      `${name}: there is no way between the devices of learners`,
    );
  }
  return {
    reduceScatter: (input, output) => group.reduceScatter(host.tensor(input), host.tensor(output)),
    allGather: (input, output) => group.allGather(host.tensor(input), host.tensor(output)),
  };
}
