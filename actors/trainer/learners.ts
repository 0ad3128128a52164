/**
 * Learners and critics as the trainer calls them: a request is divided among the ranks, and their replies are put
 * together.
 */
import { addMetricLists } from '../../src/metrics.ts';
import type { SequenceInput } from '../../src/model/pack.ts';
import { rows, type Tensor } from '../../src/tensor/tensor.ts';
import { learnerShares, miniBatches } from '../../src/training/mini-batches.ts';
import type { SupervisedStep } from '../../src/training/supervised-update.ts';
import type { MetricLists, UpdateReport } from '../../src/training/updates.ts';
import type { criticProtocol, ValueExperienceMessage } from '../critic/protocol.ts';
import type { EvaluateReply, EvaluateRequest } from '../joint/evaluate.ts';
import type { JointProtocol, RankUpdate, StateRequest } from '../joint/protocol.ts';
import type {
  ExperienceMessage,
  learnerProtocol,
  LogProbsRequest,
  UpdateRequest,
} from '../learner/protocol.ts';
import type { Sequence } from '../messages.ts';
import type { ActorRef, AskOptions } from '../runtime/ref.ts';
import type { WeightSync } from '../weights/sync.ts';
import { ANY_WORK_MS } from './patience.ts';

/** Response tokens as the policy evaluates them: a tensor for each sequence, f32 `[T]`. */
export interface PolicyView {
  readonly logProbs: readonly Tensor<'f32'>[];
  /** Entropies of the distributions that the tokens are of, nats; null where nobody asked. */
  readonly entropies: readonly Tensor<'f32'>[] | null;
}

/** The updates of one step, the same for every rank. */
interface UpdateSettings {
  /** Samples of an optimizer step, over all ranks. */
  readonly miniBatchSize: number;
  readonly learningRate: number;
}

/** The ranks that train one model, called as one. */
class Ranks<Ref extends ActorRef<JointProtocol>> {
  readonly refs: readonly Ref[];

  constructor(refs: readonly Ref[]) {
    this.refs = refs;
  }

  get count(): number {
    return this.refs.length;
  }

  async save(request: StateRequest, options: AskOptions): Promise<void> {
    await this.all((ref) => ref.ask.save(request, options));
  }

  async restore(request: StateRequest, options: AskOptions): Promise<void> {
    await this.all((ref) => ref.ask.restore(request, options));
  }

  /** Copies the trained weights to the memory of the first rank's process. */
  async collect(): Promise<void> {
    await this.all((ref) => ref.ask.collect(undefined, { timeoutMs: ANY_WORK_MS }));
  }

  protected all<T>(ask: (ref: Ref, rank: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.refs.map(ask));
  }

  /** Has each rank evaluate its share of the sequences. @returns the numbers of each sequence, in order */
  protected async evaluate(
    { sequences, ...rest }: Omit<EvaluateRequest, 'progress'>,
    progress: Tensor<'i32'>,
    ask: (ref: Ref, request: EvaluateRequest) => Promise<EvaluateReply>,
  ): Promise<EvaluateReply> {
    const shares = learnerShares(sequences, this.count);
    const replies = await this.all((ref, rank) => {
      const share = shares[rank]!.map((i) => sequences[i]!);
      return ask(ref, { ...rest, sequences: share, progress: rows(progress, rank, rank + 1) });
    });
    const whole: EvaluateReply = [];
    for (const [rank, reply] of replies.entries()) {
      for (const [j, i] of shares[rank]!.entries()) whole[i] = reply[j]!;
    }
    return whole;
  }

  /** Has each rank update the model on its share of every mini-batch; losses are those of all ranks together. */
  protected async train<S extends SequenceInput>(
    experiences: readonly S[],
    { miniBatchSize, learningRate }: UpdateSettings,
    progress: Tensor<'i32'>,
    ask: (ref: Ref, request: RankUpdate<S>) => Promise<UpdateReport>,
  ): Promise<UpdateReport> {
    const shares = miniBatches(experiences, miniBatchSize, this.count);
    const replies = await this.all((ref, rank) =>
      ask(ref, {
        miniBatches: shares[rank]!,
        learningRate,
        progress: rows(progress, rank, rank + 1),
      }),
    );
    const losses = addMetricLists(replies.map((reply) => reply.losses));
    return { losses, gradientNorms: replies[0]!.gradientNorms };
  }
}

/** The learners of the policy as one. */
export class Learners extends Ranks<ActorRef<typeof learnerProtocol>> {
  /** Log-probabilities of each sequence's response tokens, in order, and their entropies where these are asked for. */
  async logProbs(
    { withEntropies, ...request }: Omit<LogProbsRequest, 'progress'>,
    progress: Tensor<'i32'>,
    options: AskOptions,
  ): Promise<PolicyView> {
    const whole = await this.evaluate(request, progress, (ref, share) =>
      ref.ask.logProbs({ ...share, withEntropies }, options),
    );
    return {
      logProbs: whole.map(([logProbs]) => logProbs!),
      entropies: withEntropies ? whole.map(([, entropies]) => entropies!) : null,
    };
  }

  /**
   * Updates the policy on a step's experiences.
   *
   * @returns one value of each metric per optimizer step
   */
  async update(
    experiences: readonly ExperienceMessage[],
    { entropyCoeff, ...settings }: UpdateSettings & Pick<UpdateRequest, 'entropyCoeff'>,
    progress: Tensor<'i32'>,
    options: AskOptions,
  ): Promise<MetricLists> {
    const { losses, gradientNorms } = await this.train(
      experiences,
      settings,
      progress,
      (ref, request) => ref.ask.update({ ...request, entropyCoeff }, options),
    );
    return { ...losses, 'actor/grad_norm': gradientNorms };
  }

  /** Takes one step of supervised fine-tuning on reference answers. */
  async updateSupervised(
    samples: readonly Sequence[],
    learningRate: number,
    options: AskOptions,
  ): Promise<SupervisedStep> {
    const shares = miniBatches(samples, Math.max(1, samples.length), this.count);
    const replies = await this.all((ref, rank) =>
      ref.ask.updateSupervised({ miniBatch: shares[rank]![0]!, learningRate }, options),
    );
    const sumOf = (valueOf: (step: SupervisedStep) => number): number =>
      replies.reduce((sum, step) => sum + valueOf(step), 0);
    const { gradientNorm } = replies[0]!;
    return { loss: sumOf(({ loss }) => loss), gradientNorm, tokens: sumOf((step) => step.tokens) };
  }

  /** The loss of reference answers, in nats per response token; nothing is trained. */
  async supervisedLoss(samples: readonly Sequence[], options: AskOptions): Promise<number> {
    const shares = miniBatches(samples, Math.max(1, samples.length), this.count);
    const replies = await this.all((ref, rank) =>
      ref.ask.supervisedLoss({ miniBatch: shares[rank]![0]! }, options),
    );
    return replies.reduce((sum, { loss }) => sum + loss, 0);
  }
}

/** The critics of the value model as one. They publish their weights themselves, as nobody else reads them. */
export class Critics extends Ranks<ActorRef<typeof criticProtocol>> {
  readonly #weights: WeightSync;

  /** @param weights the value model's, for every process that has a critic */
  constructor(refs: readonly ActorRef<typeof criticProtocol>[], weights: WeightSync) {
    super(refs);
    this.#weights = weights;
  }

  /** Publishes the weights as they are: a step begins with them. */
  begin(): void {
    this.#weights.publish(this.#weights.version + 1);
  }

  /** Values of each sequence's response tokens, in order. */
  async values(
    sequences: readonly Sequence[],
    progress: Tensor<'i32'>,
    options: AskOptions,
  ): Promise<Tensor<'f32'>[]> {
    const { version } = this.#weights;
    const request = { sequences: [...sequences], temperature: 1, version };
    const whole = await this.evaluate(request, progress, (ref, share) =>
      ref.ask.values(share, options),
    );
    return whole.map(([values]) => values!);
  }

  /**
   * Updates the value model on a step's experiences, after which its weights have a new version.
   *
   * @returns one value of each metric per optimizer step
   */
  async update(
    experiences: readonly ValueExperienceMessage[],
    settings: UpdateSettings,
    progress: Tensor<'i32'>,
    options: AskOptions,
  ): Promise<MetricLists> {
    await this.#weights.revise();
    const { losses, gradientNorms } = await this.train(
      experiences,
      settings,
      progress,
      (ref, request) => ref.ask.update(request, options),
    );
    this.begin();
    return { ...losses, 'critic/grad_norm': gradientNorms };
  }
}
