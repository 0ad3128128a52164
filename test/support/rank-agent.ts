import { toWireError, type WireError } from '../../src/errors.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import type { Communicator } from '../../transport/collectives/communicator.ts';
import type { RankAddress } from '../../transport/collectives/open.ts';

/** Request of a test to a rank: a method of its communicator. */
export interface RankRequest {
  readonly id: number;
  readonly method:
    | Exclude<keyof Communicator, 'rank' | 'size' | typeof Symbol.asyncDispose>
    | 'leave';
  readonly args: readonly unknown[];
}

/** Reply to a request: the tensor that the call wrote, for tensors are changed in place, or why it failed. */
export interface RankReply {
  readonly id: number;
  /** None of a barrier, and null where another rank is the root. */
  readonly output?: Tensor | null;
  readonly error?: WireError;
  /** Address of a rank, in the reply to opening a listener. */
  readonly address?: RankAddress;
}

/** Calls the method that a test asks for, at once, even while other calls are under way. */
export async function doAsAsked(
  communicator: Communicator,
  { id, method, args }: RankRequest,
): Promise<RankReply> {
  try {
    if (method === 'leave') await communicator[Symbol.asyncDispose]();
    else await (communicator[method] as (...args: unknown[]) => Promise<void>)(...args);
    return { id, output: args[method === 'broadcast' ? 0 : 1] as Tensor | null };
  } catch (error) {
    return { id, error: toWireError(error) };
  }
}
