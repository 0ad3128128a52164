import { toWireError, type WireError } from '../../src/errors.ts';
import type { Communicator } from '../../transport/collectives/communicator.ts';
import type { RankCard } from '../../transport/collectives/open.ts';

/** What a test asks a rank to do: a method of its communicator, or of one that came of a split. */
export interface RankRequest {
  readonly id: number;
  /** 0 is the first group; a split adds the next number. */
  readonly group: number;
  readonly method: keyof Communicator | 'leave';
  readonly args: readonly unknown[];
}

/** The arguments after the call, for tensors are changed in place, or why it failed. */
export interface RankReply {
  readonly id: number;
  readonly args?: readonly unknown[];
  /** Of a split: rank and size in the new group, null when it has none. */
  readonly place?: { readonly rank: number; readonly size: number } | null;
  readonly error?: WireError;
  /** Of taking a seat. */
  readonly card?: RankCard;
}

/** Does what a test asks, each request at once, also while others are under way. */
export class RankAgent {
  readonly #groups: (Communicator | null)[];
  readonly #reply: (reply: RankReply) => void;

  constructor(communicator: Communicator, reply: (reply: RankReply) => void) {
    this.#groups = [communicator];
    this.#reply = reply;
  }

  async handle({ id, group, method, args }: RankRequest): Promise<void> {
    try {
      const communicator = this.#groups[group]!;
      if (method === 'leave') {
        await communicator[Symbol.asyncDispose]();
        this.#reply({ id });
      } else if (method === 'split') {
        const made = await communicator.split(...(args as Parameters<Communicator['split']>));
        this.#groups.push(made);
        this.#reply({ id, place: made === null ? null : { rank: made.rank, size: made.size } });
      } else {
        await (communicator[method] as (...args: unknown[]) => Promise<void>)(...args);
        this.#reply({ id, args });
      }
    } catch (error) {
      this.#reply({ id, error: toWireError(error) });
    }
  }
}
