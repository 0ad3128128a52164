import { addMetricLists } from '../../src/metrics.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { learnerShares, miniBatches } from '../../src/training/mini-batches.ts';
import type { MetricLists } from '../../src/training/mini-batch-updates.ts';
import type { criticProtocol, ValueExperienceMessage } from '../critic/protocol.ts';
import type { StateRequest } from '../learner/protocol.ts';
import type { Sequence } from '../messages.ts';
import type { ActorRef, AskOptions } from '../runtime/ref.ts';
import type { WeightSync } from '../weights/sync.ts';
import { inOrder, type LearnerProgress } from './learners.ts';

/** The critics as one: what is asked of them is divided among them, and what they say put together. */
export class Critics {
  readonly refs: readonly ActorRef<typeof criticProtocol>[];
  readonly #weights: WeightSync;

  /** @param weights the value model's, for every process that has a critic */
  constructor(refs: readonly ActorRef<typeof criticProtocol>[], weights: WeightSync) {
    this.refs = refs;
    this.#weights = weights;
  }

  get count(): number {
    return this.refs.length;
  }

  /** The weights are those a run begins a step with. */
  begin(): void {
    this.#weights.publish(this.#weights.version + 1);
  }

  /** Values of each sequence's response tokens, in order. */
  async values(
    sequences: readonly Sequence[],
    progress: LearnerProgress,
    options: AskOptions,
  ): Promise<Tensor<'f32'>[]> {
    const { version } = this.#weights;
    const shares = learnerShares(sequences, this.count);
    const replies = await this.#all((ref, critic) => {
      const share = shares[critic]!.map((i) => sequences[i]!);
      const request = { sequences: share, version, progress: progress.of(critic) };
      return ref.ask.values(request, options);
    });
    return inOrder(
      shares,
      replies.map(({ values }) => values),
    );
  }

  /**
   * The updates of one step, after which the weights are of a new version.
   *
   * @param miniBatchSize samples of an optimizer step, over all critics
   * @returns one value of each metric per optimizer step
   */
  async update(
    experiences: readonly ValueExperienceMessage[],
    { miniBatchSize, learningRate }: { miniBatchSize: number; learningRate: number },
    progress: LearnerProgress,
    options: AskOptions,
  ): Promise<MetricLists> {
    const shares = miniBatches(experiences, miniBatchSize, this.count);
    await this.#weights.revise();
    const replies = await this.#all((ref, critic) =>
      ref.ask.update(
        { miniBatches: shares[critic]!, learningRate, progress: progress.of(critic) },
        options,
      ),
    );
    this.begin();
    return {
      ...addMetricLists(replies.map(({ losses }) => losses)),
      'critic/grad_norm': replies[0]!.gradientNorms,
    };
  }

  async save(request: StateRequest, options: AskOptions): Promise<void> {
    await this.#all((ref) => ref.ask.save(request, options));
  }

  async restore(request: StateRequest, options: AskOptions): Promise<void> {
    await this.#all((ref) => ref.ask.restore(request, options));
  }

  #all<T>(ask: (ref: ActorRef<typeof criticProtocol>, critic: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.refs.map(ask));
  }
}
