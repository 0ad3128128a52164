import assert from 'node:assert/strict';
import { once } from 'node:events';
import { ActorSystem } from '../../../actors/runtime/system.ts';
import { PolicyWeights } from '../../../actors/weights/policy-weights.ts';
import { TrailingWeights } from '../../../actors/weights/rollout-weights.ts';
import { weightsMarker } from '../../../actors/weights/sync.ts';
import { Arena } from '../../../src/model/weights/arena.ts';
import { floatsOf } from '../../../src/tensor/numbers.ts';
import { loadGoldenModel } from '../../support/golden-model.ts';
import { keepingLogger } from '../../support/tiny-run.ts';

describe('weights that trail the learners’', () => {
  let system: ActorSystem;
  let weights: PolicyWeights;
  let trailing: TrailingWeights;
  /** The learners' weights, those that rollouts read, and the rollouts' working copy. */
  let arenas: Record<'learned' | 'read' | 'working', Arena<'f32' | 'bf16'>>;
  let collected: () => Promise<unknown>;
  const { signal } = new AbortController();
  const { logger } = keepingLogger();

  beforeEach(async () => {
    const { arena } = await loadGoldenModel('micro-text');
    system = new ActorSystem({ logger });
    const sync = { arena, computeDType: 'bf16', devices: ['cpu'], isOffloaded: false } as const;
    weights = new PolicyWeights(system, { ...sync, adapter: null }, logger, true);
    const blockOf = (name: string, bytes: number): SharedArrayBuffer =>
      system.blocks.get(weightsMarker(name, bytes));
    arenas = {
      learned: arena,
      read: new Arena(arena.layout, blockOf('rollout', arena.byteLength)),
      working: new Arena(arena.layout, blockOf('rollout/bf16', arena.byteLength / 2), 'bf16'),
    };
    collected = () => Promise.resolve(undefined);
    trailing = new TrailingWeights(weights.trained, weights.sampled, async () => {
      await collected();
    });
    arena.data.fill(1);
    weights.trained.publish(1);
  });
  afterEach(async () => {
    await weights[Symbol.asyncDispose]();
    await system[Symbol.asyncDispose]();
  });

  const assertRead = (value: number): void => {
    assert.ok(arenas.read.data.every((one) => one === value));
    assert.ok(floatsOf(arenas.working.flat).every((one) => one === value));
  };
  const step = async (value: number, version: number): Promise<void> => {
    await weights.trained.revise();
    arenas.learned.data.fill(value);
    weights.trained.publish(version);
  };

  it('stay as they are while work goes on with them, and then are the newest', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const versions: number[] = [];
    const use = (oldest?: number, until: Promise<unknown> = Promise.resolve()): Promise<void> =>
      trailing.use(
        async (version) => {
          versions.push(version);
          assertRead(version);
          await until;
          assertRead(version);
        },
        { signal, ...(oldest !== undefined && { oldest }) },
      );
    const long = use(undefined, promise);
    await use();
    await step(2, 2);
    const next = use();
    // A turn in which it would begin, did it not wait.
    await new Promise((turn) => setTimeout(turn, 20));
    assert.deepEqual(versions, [1, 1]);
    resolve(undefined);
    await Promise.all([long, next]);
    assert.deepEqual(versions, [1, 1, 2]);
  });

  it('may be old ones while learners step theirs, as old as the work allows', async () => {
    const versionOf = (oldest: number): Promise<number> =>
      trailing.use((version) => Promise.resolve(version), { oldest, signal });
    assert.equal(await versionOf(1), 1);
    await weights.trained.revise();
    assert.equal(await versionOf(1), 1);
    const newer = versionOf(2);
    arenas.learned.data.fill(2);
    weights.trained.publish(2);
    assert.equal(await newer, 2);
    assertRead(2);
  });

  it('are not stepped while they are copied', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    collected = () => promise;
    const used = trailing.use(
      () => {
        assertRead(1);
        return Promise.resolve();
      },
      { signal },
    );
    // The copy begins in the turns of the promises that it waits for.
    await new Promise((turn) => setTimeout(turn, 1));
    const stepped = step(2, 2);
    resolve(undefined);
    await Promise.all([used, stepped]);
    assertRead(1);
  });

  it('give a wait up when nobody wants them any more', async () => {
    await weights.trained.revise();
    const given = new AbortController();
    const used = trailing.use(() => Promise.resolve(), { oldest: 1, signal: given.signal });
    given.abort(new Error('not wanted'));
    await assert.rejects(used, /not wanted/);
  });

  it('are recalled from work that they are lent to, which goes on with newer ones', async () => {
    const versions: number[] = [];
    const lent = trailing.lend(
      async (loan) => {
        for (;;) {
          versions.push(loan.version);
          assertRead(loan.version);
          if (loan.version === 3) return;
          if (!loan.recalled.aborted) await once(loan.recalled, 'abort');
          // Still reads them for a moment.
          await new Promise((turn) => setTimeout(turn, 5));
          assertRead(loan.version);
          await loan.next(signal);
        }
      },
      { signal },
    );
    while (versions.length === 0) await new Promise((turn) => setTimeout(turn, 1));
    for (const version of [2, 3]) {
      await step(version, version);
      await trailing.renew(signal);
    }
    await lent;
    assert.deepEqual(versions, [1, 2, 3]);
  });

  it('tell work that they are lent to when there will be no newer ones', async () => {
    collected = () => Promise.reject(new Error('lost'));
    const lent = trailing.lend((loan) => loan.next(signal), { signal });
    // The first copy fails before anything is lent, the second while it is.
    await assert.rejects(lent, /lost/);
    collected = () => Promise.resolve(undefined);
    const again = trailing.lend((loan) => loan.next(signal), { signal });
    await step(2, 2);
    collected = () => Promise.reject(new Error('lost'));
    const failed = assert.rejects(again, /lost/);
    await assert.rejects(trailing.renew(signal), /lost/);
    await failed;
  });
});
