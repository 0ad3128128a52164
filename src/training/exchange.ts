/**
 * The collectives between learners' devices that an optimizer step needs: directly, or through this process's memory.
 */
import type { Device, View } from '../device/device.ts';
import { CxmindError } from '../errors.ts';
import type { LearnerGroup } from './learner-group.ts';

/** The collectives of an optimizer step, from device to device. */
export interface DeviceExchange {
  /** Adds up all learners' `input`, and leaves this learner's equal part of the sum in `output`. */
  reduceScatter(input: View<'f32'>, output: View<'f32'>): Promise<void>;
  /** Joins all learners' `input`, in the order of ranks, in every `output`; `input` may be its part of `output`. */
  allGather(input: View, output: View): Promise<void>;
}

/** The learners that optimize together. */
export interface Sharing {
  readonly group: LearnerGroup;
  /** True where all learners step the same memory, so that no weights need to travel. */
  readonly sharesWeights: boolean;
  /** Collectives between devices with memory of their own; those of the group where it is absent. */
  readonly exchange?: DeviceExchange;
}

/** The collectives of a lone learner, whose gradients are the sum already. */
const nothing: DeviceExchange = {
  reduceScatter: () => Promise.resolve(),
  allGather: () => Promise.resolve(),
};

/**
 * The collectives by which the learners of a group exchange tensors on their devices.
 *
 * @throws PLACEMENT_FAILED where the devices have memory of their own and no collectives between them
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
