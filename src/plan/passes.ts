/** The passes of one model over the responses of a step, counted on a device that computes nothing. */
import { Network } from '../model/network.ts';
import { Policy } from '../model/policy.ts';
import { packSequences, type SequenceInput } from '../model/pack.ts';
import type { PackedBatch } from '../model/batch.ts';
import { DeviceArena } from '../model/weights/device-arena.ts';
import { layoutFrom, type ArenaLayout } from '../model/weights/arena-layout.ts';
import {
  microBatches,
  runsOfOnePrompt,
  type MicroBatchOptions,
} from '../training/micro-batches.ts';
import { miniBatches } from '../training/mini-batches.ts';
import { strategies } from '../optim/adamw-graph.ts';
import { elementsAtOnce } from '../optim/adamw.ts';
import { isSteppedItself } from '../training/device-weights.ts';
import { bytesPerElement, type FloatDType } from '../tensor/dtype.ts';
import { CountedDevice } from './counted/device.ts';
import { sumOf, timesWork, workOf, type Work } from './counted/work.ts';
import { trainedLength } from './kept.ts';
import type { PlannedTraining, PlannedUpdates } from './settings.ts';
import type { SizedModel } from './sizes.ts';

/** A model on a device of its own, as each actor of a run has one. */
export interface CountedModel {
  readonly device: CountedDevice;
  readonly network: Network;
  readonly model: SizedModel;
}

/** Opens a model. Its weights take no memory here, since `kept.ts` counts them. */
export function openCounted(
  device: CountedDevice,
  model: SizedModel,
  dtype: FloatDType,
  gradientCheckpointing: boolean,
): CountedModel {
  const { config, head, isVisionFixed } = model;
  const { arena, adapter } = placedWeights(device, model, dtype);
  const options = { gradientCheckpointing, adapter, isVisionFixed };
  const network =
    head === 'policy'
      ? new Policy(device, config, arena, options)
      : new Network(device, config, arena, head, options);
  return { device, network, model };
}

/** The weights of a model, and its adapters where it has some, on a device that has no memory for them. */
export function placedWeights(
  device: CountedDevice,
  { layout, adapter }: SizedModel,
  dtype: FloatDType,
) {
  const placed = (own: ArenaLayout): DeviceArena =>
    new DeviceArena(own, device.place(dtype, [own.length]));
  return {
    arena: placed(layout),
    adapter: adapter && { spec: adapter.spec, arena: placed(adapter.layout) },
  };
}

/** A micro-batch, and the number of those that have the same sizes. */
interface LikeBatches {
  readonly batch: PackedBatch;
  readonly count: number;
}

/** The micro-batches of samples. Of those with the same sizes only one is packed. */
function likeBatches(samples: readonly SequenceInput[], options: MicroBatchOptions): LikeBatches[] {
  const groups = Map.groupBy(microBatches(samples, options), (indices) => {
    const chosen = indices.map((i) => samples[i]!);
    return runsOfOnePrompt(chosen)
      .map((run) => {
        const { prompt, response } = chosen[run[0]!]!;
        return [run.length, prompt.tokenIds.data.length, response.data.length].join();
      })
      .join(' ');
  });
  return [...groups.values()].map((like) => ({
    batch: packSequences(like[0]!.map((i) => samples[i]!)),
    count: like.length,
  }));
}

/** Counts a pass that scores samples. */
export async function scoringWork(
  { device, network }: CountedModel,
  samples: readonly SequenceInput[],
  options: MicroBatchOptions,
  withEntropies = false,
): Promise<Work> {
  const batches = likeBatches(samples, options);
  const works = await Array.fromAsync(batches, async ({ batch, count }) => {
    const work = await device.ledger.of(() =>
      withEntropies && network instanceof Policy
        ? network.logProbsAndEntropies(batch, 1)
        : network.scores(batch, 1),
    );
    return timesWork(work, count);
  });
  device.trim();
  return sumOf(works);
}

/** Counts the updates of a step by the first of `learners`, which has as much to do as any. */
export async function updateWork(
  counted: CountedModel,
  samples: readonly SequenceInput[],
  { settings, updates, learners, dtype, entropyCoeff = 0 }: UpdatePlan,
): Promise<Work> {
  const { device, network, model } = counted;
  const length = trainedLength(model);
  const layout = model.adapter?.layout ?? layoutFrom(model.layout, model.frozenLength);
  const gradients = new DeviceArena(layout, device.place('f32', [length]));
  const works: Work[] = [];
  const gradient = (scores: Float32Array): Float32Array => scores;
  const withEntropies = {
    withEntropies: (scores: Float32Array, entropies: Float32Array) => [scores, entropies] as const,
  };
  const own = miniBatches(samples, updates.miniBatchSize, learners)[0]!;
  const step = await stepWork(device, length, settings, learners, dtype);
  for (const mini of own) {
    for (const { batch, count } of likeBatches(mini.samples, settings.updateMicroBatch)) {
      const work = await device.ledger.of(() =>
        network.accumulateGradients(
          batch,
          1,
          entropyCoeff === 0 ? gradient : withEntropies,
          gradients,
        ),
      );
      works.push(timesWork(work, count));
    }
    works.push(step);
  }
  device.trim();
  return timesWork(sumOf(works), updates.epochs);
}

/** Settings that the updates of a step depend on, besides the model and the samples. */
export interface UpdatePlan {
  readonly settings: PlannedTraining;
  readonly updates: PlannedUpdates;
  readonly learners: number;
  /** Dtype that the model computes in. */
  readonly dtype: FloatDType;
  /** Weight of the entropy bonus; the loss reads entropies where it is not 0. */
  readonly entropyCoeff?: number;
}

/** The work of one optimizer step, as `Optimization.step` takes it. */
async function stepWork(
  device: CountedDevice,
  length: number,
  { optimization }: PlannedTraining,
  learners: number,
  dtype: FloatDType,
): Promise<Work> {
  const { strategy = 'adamw', storage = 'f32', betas, offloadsState = false } = optimization;
  const { states, stateDType, graph } = strategies[strategy];
  const isItself = isSteppedItself({ dtype }, storage);
  const own = length / learners;
  const atOnce = elementsAtOnce(device, own, offloadsState);
  const parameters = isItself && dtype === 'bf16' ? 'bf16' : 'f32';
  const working = isItself ? undefined : dtype;
  const program = device.compile(graph({ betas, eps: 1e-8, storage, parameters, working }));
  const run = program.bind();
  for (const { name, dtype: of, shape } of program.graph.inputs) {
    run.input(name, device.place(of, shape.length === 0 ? [] : [atOnce]));
  }
  const slice = await device.ledger.of(() => run.run());
  const stateBytes = own * states.length * bytesPerElement(stateDType);
  const others = await device.ledger.of(async () => {
    device.operations.zero(device.place('f32', [length]));
    await device.operations.squaredSum(device.place('f32', [own]));
  });
  const share = (learners - 1) / learners;
  return sumOf([
    timesWork(slice, own / atOnce),
    others,
    workOf({
      exchanged: share * length * (4 + bytesPerElement(dtype)),
      copied: offloadsState && device.host === null ? 2 * stateBytes : 0,
    }),
  ]);
}
