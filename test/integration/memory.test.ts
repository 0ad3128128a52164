import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ActorSystem } from '../../actors/runtime/system.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { spawnHoarder } from '../support/hoarder-actor.ts';
import { resident } from '../support/resident-memory.ts';

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

  it('of payloads comes back from actors that die with it in their hands', async () => {
    const hoarder = await spawnHoarder(system);
    const before = await resident();
    for (let life = 0; life < 12; life++) {
      for (let i = 1; i <= 24; i++) {
        assert.equal(await hoarder.ask.keep(plain(MiB / 2, i), soon), i);
      }
      const last = hoarder.ask.die(life % 2 === 0 ? 'exit' : 'fatal', soon);
      await assert.rejects(last, { code: 'ACTOR_CRASHED' });
    }
    // 576 MiB were sent and kept, half of them by each way to die; a slab has 128
    const grown = (await resident()) - before;
    assert.ok(grown < 200, `${grown} MiB more than before`);
  });

  it('of payloads that were answered stays as it was while the caller keeps it', async () => {
    const hoarder = await spawnHoarder(system);
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
    const [early, growth] = residentIn('messages');
    assert.ok(growth < 0.02 * early, `${growth} MiB more with each 50,000`);
  });

  it('stays flat over restarts on the thread that it has', () => {
    const [early, growth] = residentIn('restarts');
    assert.ok(growth < 0.01 * early, `${growth} MiB more with each 400`);
  });
});

/**
 * Resident memory after the first round of a kind, in MiB, and the least that a further round adds to it.
 *
 * A leak grows in each round, whereas a heap or an allocator takes another step in one of them.
 */
function residentIn(kind: 'messages' | 'restarts'): [early: number, growth: number] {
  const file = fileURLToPath(new URL('../support/memory-rounds.ts', import.meta.url));
  // V8 lets its young generation grow with the pace of messages, in steps as large as what is looked for
  const line = execFileSync(process.execPath, ['--max-semi-space-size=2', file, kind], {
    encoding: 'utf8',
  });
  const levels = JSON.parse(line) as number[];
  const growths = levels.slice(1).map((level, i) => level - (levels[i] ?? NaN));
  return [levels[0] ?? NaN, Math.min(...growths)];
}
