import { toWireError, type WireError } from '../../src/errors.ts';
import type { Communicator } from '../../transport/collectives/communicator.ts';
import type { RankAddress } from '../../transport/collectives/open.ts';

/** Request of a test to a rank: a method of its communicator. */
export interface RankRequest {
  readonly id: number;
  readonly method:
    Exclude<keyof Communicator, 'rank' | 'size' | typeof Symbol.asyncDispose> | 'leave';
  readonly args: readonly unknown[];
}

/** The arguments after the call, for tensors are changed in place, or why it failed. */
export interface RankReply {
  readonly id: number;
  readonly args?: readonly unknown[];
  readonly error?: WireError;
  /** Address of a rank, in the reply to opening a listener. */
  readonly address?: RankAddress;
}

/** Does what a test asks, each request at once, also while others are under way. */
export async function doAsAsked(
  communicator: Communicator,
  { id, method, args }: RankRequest,
): Promise<RankReply> {
  try {
    if (method === 'leave') await communicator[Symbol.asyncDispose]();
    else await (communicator[method] as (...args: unknown[]) => Promise<void>)(...args);
    return { id, args };
  } catch (error) {
    return { id, error: toWireError(error) };
  }
}
