import { asCxmindError, CxmindError } from '../../src/errors.ts';
import { zeros, type Tensor } from '../../src/tensor/tensor.ts';
import { callOf, dtypeNumber, type Call } from './call.ts';
import type { Communicator, Reduction, SplitOptions } from './communicator.ts';
import type { Elements } from './elements.ts';

/** A message between two ranks, as the engines see it. */
export interface Message {
  readonly tag: number;
  /** Number of its element type. */
  readonly dtype: number;
  readonly elements: Elements;
}

/**
 * What moves the bytes of a group. It is given one call at a time, messages apart, which may overlap with
 * calls and with each other.
 */
export interface Engine {
  readonly rank: number;
  readonly size: number;
  /**
   * Compares the calls of all ranks and does what they say.
   *
   * @param input this rank's elements, null where it has none to give
   * @param output where the result goes, null where this rank gets none; the same array as `input` for the
   * operations on one tensor
   */
  run(call: Call, input: Elements | null, output: Elements | null): Promise<void>;
  send(message: Message, to: number): Promise<void>;
  receive(message: Message, from: number): Promise<void>;
  /**
   * The engine of this rank's new group.
   *
   * @param groups old ranks of every new group, in the order of their new ranks; null for one in none
   */
  split(groups: readonly (readonly number[])[]): Promise<Engine | null>;
  /** Leaves the group: others who still wait for this rank get PEER_LOST. */
  close(): Promise<void>;
}

/** A communicator over any engine: describes the calls, keeps them in order, and remembers a failure. */
export class Group implements Communicator {
  readonly rank: number;
  readonly size: number;
  readonly #engine: Engine;
  #last: Promise<void> = Promise.resolve();
  #failure: CxmindError | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.rank = engine.rank;
    this.size = engine.size;
  }

  async send(tensor: Tensor, to: number, tag = 0): Promise<void> {
    await this.#engine.send(this.#message(tensor, to, tag), to);
  }

  async receive(tensor: Tensor, from: number, tag = 0): Promise<void> {
    await this.#engine.receive(this.#message(tensor, from, tag), from);
  }

  barrier(): Promise<void> {
    return this.#run(callOf({ operation: 'barrier', small: null, parts: this.size }), null, null);
  }

  broadcast(tensor: Tensor, root: number): Promise<void> {
    const call = callOf({ operation: 'broadcast', small: tensor, parts: this.size, root });
    return this.#run(call, tensor, tensor);
  }

  allReduce(tensor: Tensor, reduction: Reduction): Promise<void> {
    const call = callOf({ operation: 'allReduce', small: tensor, parts: this.size, reduction });
    return this.#run(call, tensor, tensor);
  }

  reduce(tensor: Tensor, root: number, reduction: Reduction): Promise<void> {
    const call = callOf({ operation: 'reduce', small: tensor, parts: this.size, root, reduction });
    return this.#run(call, tensor, this.rank === root ? tensor : null);
  }

  reduceScatter(input: Tensor, output: Tensor, reduction: Reduction): Promise<void> {
    const tensors = { small: output, large: input, parts: this.size };
    return this.#run(callOf({ operation: 'reduceScatter', ...tensors, reduction }), input, output);
  }

  allGather(input: Tensor, output: Tensor): Promise<void> {
    const tensors = { small: input, large: output, parts: this.size };
    return this.#run(callOf({ operation: 'allGather', ...tensors }), input, output);
  }

  gather(input: Tensor, output: Tensor | null, root: number): Promise<void> {
    const large = this.rank === root ? output : null;
    const tensors = { small: input, large, parts: this.size, needsLarge: this.rank === root };
    return this.#run(callOf({ operation: 'gather', ...tensors, root }), input, large);
  }

  scatter(input: Tensor | null, output: Tensor, root: number): Promise<void> {
    const large = this.rank === root ? input : null;
    const tensors = { small: output, large, parts: this.size, needsLarge: this.rank === root };
    return this.#run(callOf({ operation: 'scatter', ...tensors, root }), large, output);
  }

  async split({ color, key = this.rank }: SplitOptions): Promise<Communicator | null> {
    const wishes = zeros('i32', [this.size, 3]);
    const mine = zeros('i32', [3]);
    mine.data.set([color === null ? 0 : 1, color ?? 0, key]);
    await this.allGather(mine, wishes);
    const engine = await this.#inTurn(() => this.#engine.split(groupsOf(wishes.data)));
    return engine === null ? null : new Group(engine);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#failure ??= new CxmindError('PEER_LOST', `rank ${this.rank} has left the group`);
    await this.#engine.close();
  }

  #message(tensor: Tensor, rank: number, tag: number): Message {
    const dtype = dtypeNumber(tensor.dtype);
    if (dtype === -1) {
      throw new CxmindError('DTYPE_MISMATCH', `collectives do not carry ${tensor.dtype}`);
    }
    if (!Number.isInteger(rank) || rank < 0 || rank >= this.size || rank === this.rank) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `rank ${this.rank} has no peer ${rank} of ${this.size}`,
      );
    }
    if (this.#failure !== undefined) throw this.#failure;
    return { tag, dtype, elements: tensor.data as Elements };
  }

  #run(call: Call, input: Tensor | null, output: Tensor | null): Promise<void> {
    const [from, into] = [input, output].map((tensor) => (tensor?.data ?? null) as Elements | null);
    return this.#inTurn(() => this.#engine.run(call, from!, into!));
  }

  /** Does one thing after the other, and nothing after a failure. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        return await work();
      } catch (error) {
        this.#failure ??= asCxmindError(error);
        throw this.#failure;
      }
    });
    this.#last = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }
}

/** The groups that ranks asked for, from rows of `[joins, color, key]`, ordered by key, then by rank. */
function groupsOf(wishes: Int32Array): number[][] {
  const colors = new Map<number, { rank: number; key: number }[]>();
  for (let rank = 0; rank * 3 < wishes.length; rank++) {
    const [joins, color, key] = wishes.subarray(rank * 3, rank * 3 + 3);
    if (joins === 0) continue;
    const members = colors.get(color!) ?? [];
    members.push({ rank, key: key! });
    colors.set(color!, members);
  }
  return [...colors.values()].map((members) =>
    members.toSorted((a, b) => a.key - b.key || a.rank - b.rank).map(({ rank }) => rank),
  );
}
