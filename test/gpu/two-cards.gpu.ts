// Run by `npm run test:gpu`; it wants a machine with two CUDA cards, and NCCL.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { countCards } from '../../src/device/cuda/cudart.ts';
import { fromWireError } from '../../src/errors.ts';
import { threadGroup } from '../../transport/collectives/threads.ts';
import {
  addend,
  type CardReply,
  type CardRequest,
  type CardThread,
} from '../support/card-thread.ts';
import { LivingWorkers } from '../support/living-workers.ts';
import { trainingKinds, type TrainingKind } from '../support/stepped-learner.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import {
  keepingReporter,
  metricsOf,
  phaseReporter,
  trainTiny,
  writeTinyDemo,
} from '../support/tiny-run.ts';

/** Learners on the first cards, a thread each. */
class CardThreads implements AsyncDisposable {
  readonly #workers: Worker[];

  private constructor(size: number) {
    const group = size === 1 ? null : threadGroup(size);
    this.#workers = Array.from({ length: size }, (_, rank) => {
      const workerData: CardThread = { rank, group };
      return new Worker(new URL('../support/card-thread.ts', import.meta.url), { workerData });
    });
  }

  static async open(size: number): Promise<CardThreads> {
    const threads = new CardThreads(size);
    await threads.all({ kind: 'join' });
    return threads;
  }

  ask<T>(rank: number, request: CardRequest): Promise<T> {
    return new Promise((resolve, reject) => {
      const worker = this.#workers[rank]!;
      worker.once('message', (reply: CardReply) => {
        if ('value' in reply) resolve(reply.value as T);
        else reject(fromWireError(reply.error));
      });
      worker.postMessage(request);
    });
  }

  all<T>(request: CardRequest): Promise<T[]> {
    return Promise.all(this.#workers.map((_, rank) => this.ask<T>(rank, request)));
  }

  async kill(rank: number): Promise<void> {
    await this.#workers[rank]!.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

function cardsHere(): number {
  try {
    return countCards();
  } catch {
    return 0;
  }
}

describe('two cards', () => {
  before(function () {
    const found = cardsHere();
    if (found >= 2) return;
    process.stderr.write(`two cards: not tested, there ${found === 1 ? 'is one' : 'are none'}\n`);
    this.skip();
  });

  describe('by NCCL', () => {
    let threads: CardThreads;
    before(async () => (threads = await CardThreads.open(2)));
    after(async () => {
      await threads.all({ kind: 'leave' });
      await threads[Symbol.asyncDispose]();
    });

    for (const count of [1, 3, 1000, 65_537, 2 ** 20 + 1]) {
      for (const offset of [0, 3]) {
        it(`add up and gather ${count} elements each, ${offset} elements into a block`, async () => {
          const request: CardRequest = { kind: 'exchange', count, offset };
          const results = await threads.all<{ sum: number[]; all: number[] }>(request);
          const indices = Array.from({ length: count }, (_, i) => i);
          const gathered = [0, 1].flatMap((rank) => indices.map((i) => addend(rank, i)));
          for (const [rank, { sum, all }] of results.entries()) {
            const own = indices.map((i) => rank * count + i);
            assert.deepEqual(
              sum,
              own.map((i) => addend(0, i) + addend(1, i)),
            );
            assert.deepEqual(all, gathered);
          }
        });
      }
    }

    for (const how of Object.keys(trainingKinds) as TrainingKind[]) {
      it(`step weights to the bits of one card, ${how}`, async () => {
        const request: CardRequest = { kind: 'train', how, steps: 4 };
        await using alone = await CardThreads.open(1);
        const [one] = await alone.all<{ norms: number[]; computed: Float32Array }>(request);
        const [first, second] = await threads.all<typeof one>(request);
        assert.deepEqual(first, second);
        assert.deepEqual(first, one);
        await alone.all({ kind: 'leave' });
      });
    }
  });

  it('end what they do together when a thread is killed, and hang nobody', async () => {
    await using threads = await CardThreads.open(2);
    const request: CardRequest = { kind: 'train', how: 'in float32', steps: 1 };
    const waiting = threads.ask(0, request);
    await threads.kill(1);
    await assert.rejects(waiting, { code: 'PEER_LOST' });
    await threads.ask(0, { kind: 'leave' });
  });

  describe('in a run', () => {
    let temporary: TemporaryDirectory;
    let demo: string;
    let workers: LivingWorkers;
    const items = ['trainer.device=cuda', 'trainer.n_gpus_per_node=2', 'trainer.max_steps=3'];
    before(async () => {
      temporary = new TemporaryDirectory();
      demo = join(temporary.path, 'demo');
      workers = new LivingWorkers();
      await writeTinyDemo(demo);
    });
    after(() => {
      workers[Symbol.dispose]();
      temporary[Symbol.dispose]();
    });

    for (const [name, more] of Object.entries({
      GRPO: [],
      'GAE with a critic': [
        'algorithm.adv_estimator=gae',
        'worker.critic.global_batch_size=2',
        'worker.critic.micro_batch_size_per_device_for_experience=4',
      ],
      adapters: ['worker.actor.model.lora.rank=4'],
    })) {
      it(`train by ${name}, and go on after a learner was killed`, async () => {
        const run = join(temporary.path, name.replaceAll(' ', '-'));
        const given = [...items, ...more, 'trainer.save_freq=1', 'trainer.local_mode=false'];
        let updates = 0;
        const killing = phaseReporter((phase) => {
          if (phase.name === 'update' && ++updates === 2)
            void workers.find('learner/1')?.terminate();
        });
        await assert.rejects(trainTiny(demo, run, given, { reporter: killing }), {
          code: 'ACTOR_CRASHED',
          message: /^learner\/1 crashed/,
        });
        const { reporter, notes } = keepingReporter();
        await trainTiny(demo, run, given, { reporter });
        assert.ok(notes.includes('device: cuda:0, cuda:1'), notes.join('\n'));
        assert.deepEqual(
          metricsOf(run).flatMap(({ step, 'actor/grad_norm': norm }) =>
            Number.isFinite(norm) ? [step] : [],
          ),
          [1, 2, 3],
        );
      });
    }
  });
});
