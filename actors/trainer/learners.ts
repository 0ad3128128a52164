import { addMetricLists } from '../../src/metrics.ts';
import { rows, zeros, type Tensor } from '../../src/tensor/tensor.ts';
import { learnerShares, miniBatches } from '../../src/training/mini-batches.ts';
import type { MetricLists } from '../../src/training/mini-batch-updates.ts';
import type { SupervisedStep } from '../../src/training/supervised-update.ts';
import type { ExperienceMessage, learnerProtocol, StateRequest } from '../learner/protocol.ts';
import type { Sequence } from '../messages.ts';
import type { LogProbsRequest } from '../reference/protocol.ts';
import type { ActorRef, AskOptions } from '../runtime/ref.ts';

/** Shared counters, one a learner, of samples done. */
export class LearnerProgress {
  readonly #counters: Tensor<'i32'>;

  constructor(learners: number) {
    this.#counters = zeros('i32', [learners]);
  }

  /** The counter of one learner. */
  of(learner: number): Tensor<'i32'> {
    return rows(this.#counters, learner, learner + 1);
  }

  /** All learners' samples together. */
  get done(): number {
    return this.#counters.data.reduce((sum, count) => sum + count, 0);
  }
}

/** Tensors of the shares of some sequences, put back in the order of the sequences. */
export function inOrder(
  shares: readonly (readonly number[])[],
  replies: readonly (readonly Tensor<'f32'>[])[],
): Tensor<'f32'>[] {
  const whole: Tensor<'f32'>[] = [];
  for (const [learner, tensors] of replies.entries()) {
    for (const [j, i] of shares[learner]!.entries()) whole[i] = tensors[j]!;
  }
  return whole;
}

/** The learners as one: what is asked of them is divided among them, and what they say put together. */
export class Learners {
  readonly refs: readonly ActorRef<typeof learnerProtocol>[];

  constructor(refs: readonly ActorRef<typeof learnerProtocol>[]) {
    this.refs = refs;
  }

  get count(): number {
    return this.refs.length;
  }

  /** Log-probabilities of each sequence's response tokens, in order. */
  async logProbs(
    { sequences, ...scoring }: Omit<LogProbsRequest, 'progress'>,
    progress: LearnerProgress,
    options: AskOptions,
  ): Promise<Tensor<'f32'>[]> {
    const shares = learnerShares(sequences, this.count);
    const replies = await this.#all((ref, learner) => {
      const share = shares[learner]!.map((i) => sequences[i]!);
      const request = { ...scoring, sequences: share, progress: progress.of(learner) };
      return ref.ask.logProbs(request, options);
    });
    return inOrder(
      shares,
      replies.map(({ logProbs }) => logProbs),
    );
  }

  /**
   * The updates of one step.
   *
   * @param miniBatchSize samples of an optimizer step, over all learners
   * @returns one value of each metric per optimizer step, and the prompt of each response that was trained on
   */
  async update(
    experiences: readonly ExperienceMessage[],
    { miniBatchSize, learningRate }: { miniBatchSize: number; learningRate: number },
    progress: LearnerProgress,
    options: AskOptions,
  ): Promise<{ readonly metrics: MetricLists; readonly trained: string[] }> {
    const shares = miniBatches(experiences, miniBatchSize, this.count);
    const replies = await this.#all((ref, learner) =>
      ref.ask.update(
        { miniBatches: shares[learner]!, learningRate, progress: progress.of(learner) },
        options,
      ),
    );
    const metrics = {
      ...addMetricLists(replies.map(({ losses }) => losses)),
      'actor/grad_norm': replies[0]!.gradientNorms,
    };
    return { metrics, trained: replies.flatMap(({ trained }) => trained) };
  }

  /** One step on reference answers. */
  async imitate(
    samples: readonly Sequence[],
    learningRate: number,
    options: AskOptions,
  ): Promise<SupervisedStep> {
    const shares = miniBatches(samples, Math.max(1, samples.length), this.count);
    const replies = await this.#all((ref, learner) =>
      ref.ask.imitate({ miniBatch: shares[learner]![0]!, learningRate }, options),
    );
    const sumOf = (valueOf: (step: SupervisedStep) => number): number =>
      replies.reduce((sum, step) => sum + valueOf(step), 0);
    const { gradientNorm } = replies[0]!;
    return { loss: sumOf(({ loss }) => loss), gradientNorm, tokens: sumOf((step) => step.tokens) };
  }

  /** The loss of reference answers, nats per response token; nothing is trained. */
  async imitationLoss(samples: readonly Sequence[], options: AskOptions): Promise<number> {
    const shares = miniBatches(samples, Math.max(1, samples.length), this.count);
    const replies = await this.#all((ref, learner) =>
      ref.ask.imitationLoss({ miniBatch: shares[learner]![0]! }, options),
    );
    return replies.reduce((sum, { loss }) => sum + loss, 0);
  }

  async save(request: StateRequest, options: AskOptions): Promise<void> {
    await this.#all((ref) => ref.ask.save(request, options));
  }

  async restore(request: StateRequest, options: AskOptions): Promise<void> {
    await this.#all((ref) => ref.ask.restore(request, options));
  }

  #all<T>(
    ask: (ref: ActorRef<typeof learnerProtocol>, learner: number) => Promise<T>,
  ): Promise<T[]> {
    return Promise.all(this.refs.map(ask));
  }
}
