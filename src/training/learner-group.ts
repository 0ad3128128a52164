import { copyElements, type Tensor } from '../tensor/tensor.ts';

/**
 * The collectives of the learners of one model. Every learner calls the same operations in the same order. A
 * `Communicator` of the transport implements it.
 */
export interface LearnerGroup {
  /** Number of this learner, from 0. */
  readonly rank: number;
  readonly size: number;
  /** Resolves when every learner has called it. */
  barrier(): Promise<void>;
  /** Copies the root's elements to every learner's `tensor`. */
  broadcast(tensor: Tensor, root: number): Promise<void>;
  /** Adds up all learners' `input`, and leaves part `rank` of `size` equal parts of the sum in `output`. */
  reduceScatter(input: Tensor<'f32'>, output: Tensor<'f32'>): Promise<void>;
  /** Joins all learners' `input`, in the order of ranks, in every `output`; `input` may be its part of `output`. */
  allGather(input: Tensor, output: Tensor): Promise<void>;
  /** Joins all learners' `input` at the root alone; others give null for `output`. */
  gather(input: Tensor, output: Tensor | null, root: number): Promise<void>;
  /** Copies part `rank` of the root's `input` to `output`; others give null for `input`. */
  scatter(input: Tensor | null, output: Tensor, root: number): Promise<void>;
}

/** The group of a lone learner: it receives its own elements. */
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
