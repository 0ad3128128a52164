import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ActorSystem } from '../../actors/runtime/system.ts';
import type { ActorRef } from '../../actors/runtime/ref.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { hoarderProtocol } from '../support/hoarder-actor.ts';
import { LivingWorkers } from '../support/living-workers.ts';
import { resident } from '../support/resident.ts';

const soon = { timeoutMs: 20_000 };
const MiB = 2 ** 20;

const plain = (length: number, value: number): Tensor<'f32'> => ({
  dtype: 'f32',
  shape: [length],
  data: new Float32Array(length).fill(value),
});

describe('memory', () => {
  let system: ActorSystem;
  beforeEach(() => (system = new ActorSystem()));
  afterEach(() => system.shutdown());

  const spawn = (): Promise<ActorRef<typeof hoarderProtocol>> =>
    system.spawn({
      name: 'hoarder/0',
      protocol: hoarderProtocol,
      module: new URL('../support/hoarder-actor.ts', import.meta.url),
      create: 'createHoarder',
      props: undefined,
      supervision: {
        onCrash: 'restart',
        maxRestarts: Infinity,
        windowMs: 60_000,
        minBackoffMs: 1,
        maxBackoffMs: 1,
        givenUp: 'stop',
      },
    });

  it('of payloads comes back from actors that die with it in their hands', async () => {
    const hoarder = await spawn();
    const before = await resident();
    for (let life = 0; life < 16; life++) {
      for (let i = 1; i <= 24; i++) {
        assert.equal(await hoarder.ask.keep(plain(MiB / 2, i), soon), i);
      }
      const last = hoarder.ask.die(life % 2 === 0 ? 'exit' : 'fatal', soon);
      await assert.rejects(last, { code: 'ACTOR_CRASHED' });
    }
    // 768 MiB were sent and kept; a slab has 128
    const grown = (await resident()) - before;
    assert.ok(grown < 200, `${grown} MiB more than before`);
  });

  it('of payloads that were answered stays as it was while the caller keeps it', async () => {
    const hoarder = await spawn();
    const kept: Tensor<'f32'>[] = [];
    for (let i = 0; i < 400; i++) {
      const ones = await hoarder.ask.ones(100_000, soon);
      ones.data.fill(i);
      if (i % 20 === 0) kept.push(ones);
    }
    await assert.rejects(hoarder.ask.die('exit', soon), { code: 'ACTOR_CRASHED' });
    for (let i = 0; i < 400; i++) await hoarder.ask.ones(100_000, soon);
    for (const [i, tensor] of kept.entries()) {
      assert.ok(tensor.data.every((value) => value === 20 * i));
    }
  });

  it('stays flat over 200,000 messages', () => {
    const program = fileURLToPath(new URL('../support/message-rounds.ts', import.meta.url));
    // V8 lets its young generation grow with the pace of messages, in steps as large as what is looked for
    const line = execFileSync(process.execPath, ['--max-semi-space-size=2', program], {
      encoding: 'utf8',
    });
    const [early, late] = JSON.parse(line) as [number, number];
    assert.ok(late - early < 0.05 * early, `${late - early} MiB more after another 100,000`);
  });

  it('stays flat over a thousand restarts on the thread that it has', async () => {
    using workers = new LivingWorkers();
    const hoarder = await spawn();
    const thread = workers.find('hoarder/0');
    const restart = async (times: number): Promise<number> => {
      for (let i = 0; i < times; i++) {
        await assert.rejects(hoarder.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
        await hoarder.ask.ones(1, soon);
      }
      return resident();
    };
    const early = await restart(400);
    const late = await restart(600);
    assert.equal(workers.find('hoarder/0'), thread);
    assert.ok(late - early < 0.03 * early, `${late - early} MiB more after another 600`);
  });
});
