import { copyElements, type Tensor } from '../tensor/tensor.ts';

/**
 * What the learners of one policy do together; every one of them calls the same operations in the same
 * order. A `Communicator` of the transport is one.
 */
export interface LearnerGroup {
  /** Which of the learners this is, from 0. */
  readonly rank: number;
  readonly size: number;
  /** Resolves when every learner has called it. */
  barrier(): Promise<void>;
  /** The root's elements into everybody's `tensor`. */
  broadcast(tensor: Tensor, root: number): Promise<void>;
  /** Adds up `input`, `size` equal parts, and leaves part `rank` of the sum in `output`. */
  reduceScatter(input: Tensor<'f32'>, output: Tensor<'f32'>): Promise<void>;
  /** Everybody's `input`, in the order of ranks, into everybody's `output`; may be its own part of it. */
  allGather(input: Tensor, output: Tensor): Promise<void>;
  /** As `allGather`, to the root alone; others give null for `output`. */
  gather(input: Tensor, output: Tensor | null, root: number): Promise<void>;
  /** Part `rank` of the root's `input` into `output`; others give null for `input`. */
  scatter(input: Tensor | null, output: Tensor, root: number): Promise<void>;
}

/** The group of a learner that is alone: what others would send is what it has. */
export const alone: LearnerGroup = {
  rank: 0,
  size: 1,
  barrier: () => Promise.resolve(),
  broadcast: () => Promise.resolve(),
  reduceScatter: (input, output) => copied(input, output),
  allGather: (input, output) => copied(input, output),
  gather: (input, output) => copied(input, output),
  scatter: (input, output) => copied(input, output),
};

function copied(input: Tensor | null, output: Tensor | null): Promise<void> {
  if (input !== null && output !== null && input.data !== output.data) {
    copyElements(input, output);
  }
  return Promise.resolve();
}
