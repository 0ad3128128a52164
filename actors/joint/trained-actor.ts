import { mkdir } from 'node:fs/promises';
import { CxmindError } from '../../src/errors.ts';
import type { ConfigOverrides } from '../../src/model/checkpoint/config-file.ts';
import type { Network } from '../../src/model/network.ts';
import type { SequenceInput } from '../../src/model/pack.ts';
import type { Loss } from '../../src/training/losses.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import { Optimization, type OptimizationOptions } from '../../src/training/optimization.ts';
import type { Evaluation } from '../../src/training/response-scores.ts';
import {
  updateByMiniBatches,
  type UpdateOptions,
  type UpdateReport,
} from '../../src/training/updates.ts';
import { RankListener, type RankAddress } from '../../transport/collectives/open.ts';
import { ModelActor } from '../model-actor.ts';
import type { ModelProps } from '../model-props.ts';
import type { Actor, Context } from '../runtime/actor.ts';
import { together } from '../runtime/together.ts';
import { evaluate, type EvaluateReply, type EvaluateRequest } from './evaluate.ts';
import { hostInfo, type HostInfo } from './host-info.ts';
import type { JointProtocol, ListenRequest, RankUpdate, StateRequest } from './protocol.ts';
import { joinByRank, joinDevices, type JoinedGroup, type RankInfo } from './rank.ts';
import { readState, writeState } from './state-files.ts';

/**
 * Heartbeats of links between ranks. A rank's thread is silent as long as it computes, so they are slow. The link of a
 * node notices a lost process earlier, and that ends the run.
 */
const PATIENT = { intervalMs: 60_000, deadAfterMs: 3600_000 };

/** Props of an actor that trains a model, besides its loss. */
export interface TrainedProps {
  readonly model: ModelProps;
  /** Hugging Face directory that the weights came from. A saved model looks like it. */
  readonly modelPath: string;
  /** Keys laid over the config of that directory. */
  readonly overrides: ConfigOverrides;
  readonly gradientCheckpointing: boolean;
  readonly optimization: OptimizationOptions;
  readonly updateMicroBatch: MicroBatchOptions;
  readonly experienceMicroBatch: MicroBatchOptions;
  readonly epochs: number;
  readonly rank: RankInfo;
  /** True where the other ranks step the same memory. */
  readonly sharesWeights: boolean;
}

/**
 * A rank of several that train one model together: its weights, its optimizer and its files.
 *
 * A learner adds the head of a policy, a critic that of a value model. Every call is made to all ranks at once.
 */
export abstract class TrainedActor<Props extends TrainedProps, Model extends Network & Disposable>
  extends ModelActor
  implements Actor<JointProtocol>
{
  protected readonly props: Props;
  /** The model with its head; there once `start` is done. */
  protected model!: Model;
  #listener: RankListener | null = null;
  #joined: JoinedGroup | null = null;
  #optimization: Optimization | null = null;

  constructor(props: Props) {
    super(props.model);
    this.props = props;
  }

  /** Makes the model with its head over `weights`. */
  protected abstract makeModel(): Model;
  /** Saves the model as others load it. */
  protected abstract saveModel(directory: string): Promise<void>;
  /** Reads the weights of a model that `saveModel` wrote. */
  protected abstract readModel(directory: string): Promise<void>;

  /** Joins the other ranks, unless messages will say how, and makes the model. */
  async start(): Promise<this> {
    const joined = await joinByRank(this.props.rank, this.device);
    if (joined !== null) this.#optimizeWith(joined);
    await this.weights.handOver();
    this.model = this.makeModel();
    return this;
  }

  protected get optimization(): Optimization {
    if (this.#optimization === null) {
      throw new CxmindError('INTERNAL', 'learner: joined nobody yet');
    }
    return this.#optimization;
  }

  /** Evaluates response tokens with the model: its scores, or the numbers of another evaluation. */
  protected evaluate(
    { temperature, ...request }: EvaluateRequest,
    { signal }: Context,
    evaluation: Evaluation = async (batch) => [await this.model.scores(batch, temperature)],
  ): Promise<EvaluateReply> {
    const { experienceMicroBatch } = this.props;
    return evaluate(this.weights, request, experienceMicroBatch, signal, evaluation);
  }

  /** Updates the model by a loss on a step's samples. @param options of a policy */
  protected train<S extends SequenceInput>(
    { miniBatches, learningRate, progress }: RankUpdate<S>,
    { signal }: Context,
    loss: Loss<S>,
    options: Pick<UpdateOptions<S>, 'temperature' | 'withEntropies'> = {},
  ): Promise<UpdateReport> {
    const { updateMicroBatch: microBatch, epochs } = this.props;
    const update = updateByMiniBatches(
      this.model,
      this.optimization,
      miniBatches,
      { loss, microBatch, epochs, learningRate, ...options },
      (done) => progress.data.set([done]),
    ).finally(() => this.device.trim());
    return together(update, signal);
  }

  hostInfo(): HostInfo {
    return hostInfo();
  }

  async listen({ address, keys }: ListenRequest): Promise<RankAddress> {
    this.#listener = await RankListener.open({ address, keys, heartbeat: PATIENT });
    return this.#listener.address;
  }

  async join(addresses: readonly RankAddress[]): Promise<void> {
    const { rank } = this.props;
    if (rank.kind !== 'processes') return;
    const listener = this.#listener;
    if (listener === null) throw new CxmindError('INTERNAL', 'learner: it does not listen yet');
    const group = await listener.join(rank.rank, addresses);
    this.#optimizeWith(await joinDevices(group, this.device));
  }

  collect(_: unknown, { signal }: Context): Promise<void> {
    return together(this.optimization.collectWeights(), signal);
  }

  async save({ directory, modelOnly }: StateRequest, { signal }: Context): Promise<void> {
    await together(this.optimization.collectWeights(), signal);
    if (this.optimization.rank === 0) {
      await mkdir(directory, { recursive: true });
      await this.saveModel(directory);
    }
    if (modelOnly) return;
    const state = await together(this.optimization.gatherState(), signal);
    if (state !== null) await writeState(directory, this.weights.trained, state);
  }

  async restore({ directory, modelOnly }: StateRequest, { signal }: Context): Promise<void> {
    const isFirst = this.optimization.rank === 0;
    if (modelOnly) {
      if (isFirst) await this.readModel(directory);
      await together(this.optimization.takeWeights(), signal);
    } else {
      const { offloadsState = false } = this.props.optimization;
      const { trained } = this.weights;
      const state = isFirst ? await readState(directory, trained, offloadsState) : null;
      await together(this.optimization.scatterState(state), signal);
    }
  }

  /** Leaves the other ranks first, which ends the collectives that are under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#joined?.leave();
    await this.#listener?.[Symbol.asyncDispose]();
    this.model[Symbol.dispose]();
    this.#optimization?.[Symbol.dispose]();
    this.device[Symbol.dispose]();
  }

  #optimizeWith(joined: JoinedGroup): void {
    const { optimization, sharesWeights } = this.props;
    this.#joined = joined;
    const { trained, working } = this.weights;
    const sharing = { ...joined, sharesWeights };
    this.#optimization = new Optimization(
      this.device,
      trained,
      optimization,
      sharing,
      working.trained,
    );
  }
}
