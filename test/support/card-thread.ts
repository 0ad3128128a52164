// A thread that is one of several learners on cards: `{ rank, group }` as `workerData`, then one `CardRequest` at a time.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { joinByRank, type JoinedGroup } from '../../actors/joint/rank.ts';
import type { Device, View } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { asCxmindError, toWireError, type WireError } from '../../src/errors.ts';
import type { Arena } from '../../src/model/weights/arena.ts';
import { numbersOf } from '../../src/tensor/numbers.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { alone } from '../../src/training/learner-group.ts';
import type { ThreadGroupHandle } from '../../transport/collectives/threads.ts';
import { SteppedLearner, steppedWeights, type TrainingKind } from './stepped-learner.ts';

/** Request to a learner on a card. */
export type CardRequest =
  /** Joins the others; this thread's card is that of its rank. */
  | { readonly kind: 'join' }
  /** Adds up, and gathers, `[count]` for each rank from some element on; both results. */
  | { readonly kind: 'exchange'; readonly count: number; readonly offset: number }
  /** Steps weights so often, and says what a model would compute with. */
  | { readonly kind: 'train'; readonly how: TrainingKind; readonly steps: number }
  | { readonly kind: 'leave' };

/** Reply of a learner on a card. */
export type CardReply = { readonly value: unknown } | { readonly error: WireError };

/** Data of the thread of a learner. */
export interface CardThread {
  readonly rank: number;
  /** Null for a learner that is alone. */
  readonly group: ThreadGroupHandle | null;
}

/** Element `i` of what a rank adds to a sum. */
export const addend = (rank: number, i: number): number => ((i * 7 + rank * 13) % 101) - 50;

class Learner {
  readonly #device: Device;
  readonly #joined: JoinedGroup;

  constructor(device: Device, joined: JoinedGroup) {
    this.#device = device;
    this.#joined = joined;
  }

  static async join({ rank, group }: CardThread): Promise<Learner> {
    const device = openDevice({ device: `cuda:${rank}`, threads: 2 });
    if (group === null) {
      return new Learner(device, { group: alone, leave: () => Promise.resolve() });
    }
    const joined = await joinByRank({ kind: 'threads', group, rank }, device);
    return new Learner(device, joined!);
  }

  async exchange(count: number, offset: number): Promise<{ sum: number[]; all: number[] }> {
    const { rank, size } = this.#joined.group;
    const values = Array.from({ length: size * count }, (_, i) => addend(rank, i));
    using memory = this.#device.allocate('f32', [offset + size * count]);
    using part = this.#device.allocate('f32', [offset + count]);
    const input = this.#put(memory, offset, values);
    const output = this.#device.part(part, offset, [count]);
    await this.#joined.exchange!.reduceScatter(input, output);
    using weights = this.#device.allocate('bf16', [offset + size * count]);
    const gathered = this.#device.part(weights, offset, [size * count]);
    const own = this.#device.part(weights, offset + rank * count, [count]);
    this.#device.upload(tensorOf('bf16', [count], values.slice(0, count)), own);
    await this.#joined.exchange!.allGather(own, gathered);
    const numbers = async (view: View): Promise<number[]> => [
      ...numbersOf(await this.#device.download(view)),
    ];
    return { sum: await numbers(output), all: await numbers(gathered) };
  }

  async train(how: TrainingKind, steps: number, arena: Arena): Promise<unknown> {
    using learner = await SteppedLearner.open(this.#device, arena, how, this.#joined);
    const norms: number[] = [];
    for (let step = 0; step < steps; step++) norms.push(await learner.step(step));
    return { norms, computed: await learner.computed() };
  }

  get learners(): number {
    return this.#joined.group.size;
  }

  async leave(): Promise<void> {
    await this.#joined.leave();
    this.#device[Symbol.dispose]();
  }

  #put(memory: View<'f32'>, offset: number, values: readonly number[]): View<'f32'> {
    const view = this.#device.part(memory, offset, [values.length]);
    this.#device.upload(tensorOf('f32', [values.length], values), view);
    return view;
  }
}

let learner: Learner | undefined;

async function answer(request: CardRequest): Promise<unknown> {
  switch (request.kind) {
    case 'join':
      learner = await Learner.join(workerData as CardThread);
      return null;
    case 'exchange':
      return learner!.exchange(request.count, request.offset);
    case 'train': {
      const { how, steps } = request;
      return learner!.train(how, steps, steppedWeights(how, learner!.learners));
    }
    case 'leave':
      await learner?.leave();
      return null;
  }
}

if (!isMainThread) {
  parentPort!.on('message', (request: CardRequest) => {
    void answer(request).then(
      (value) => parentPort!.postMessage({ value } satisfies CardReply),
      (error: unknown) =>
        parentPort!.postMessage({ error: toWireError(asCxmindError(error)) } satisfies CardReply),
    );
  });
}
