import assert from 'node:assert/strict';
import type { Cudart } from '../../../src/device/cuda/cudart.ts';
import type { KernelSteps } from '../../../src/device/cuda/kernel-steps.ts';
import { profileCard } from '../../../src/device/cuda/profile.ts';
import type { Runtime } from '../../../src/ort/runtime.ts';

/** A card on whose stream a millisecond passes from one moment to the next. */
class FakeCudart {
  isCapturing = false;
  readonly events = new Set<bigint>();
  #moment = 0n;

  synchronize(): void {}

  event(): bigint {
    assert.ok(!this.isCapturing, 'a captured event has no time');
    this.events.add(++this.#moment);
    return this.#moment;
  }

  milliseconds(from: bigint, to: bigint): number {
    return Number(to - from);
  }

  destroyEvent(event: bigint): void {
    assert.ok(this.events.delete(event));
  }
}

describe('the profile of a card', () => {
  it('has programs and kernels by its own clock, but none that are captured', async () => {
    const card = new FakeCudart();
    const runtime = { observer: null } as Pick<Runtime, 'observer'>;
    const nodes: Pick<KernelSteps, 'times'> = { times: undefined };
    const profile = profileCard(
      'cuda:7',
      card as unknown as Cudart,
      runtime as Runtime,
      nodes as KernelSteps,
    );
    const run = (program: string): void => {
      runtime.observer!.start(program);
      nodes.times!.start(`kernel of ${program}`);
      nodes.times!.end();
      runtime.observer!.end();
    };
    run('layer');
    card.isCapturing = true;
    run('captured');
    card.isCapturing = false;
    run('head');
    const runs = await profile.end();
    assert.deepEqual([runtime.observer, nodes.times, card.events.size], [null, undefined, 0]);
    const of = (lane: string): (string | number)[][] => {
      const those = runs.filter((one) => one.lane === lane);
      return those.map(({ name, startUs, durationUs }) => [
        name,
        Math.round(startUs - those[0]!.startUs),
        durationUs,
      ]);
    };
    // Events 1 and 2 begin; then a run has 4: the program's, its kernel's two, and the program's.
    assert.deepEqual(of('cuda:7 programs'), [
      ['layer', 0, 3000],
      ['head', 4000, 3000],
    ]);
    assert.deepEqual(of('cuda:7 kernels'), [
      ['kernel of layer', 0, 1000],
      ['kernel of head', 4000, 1000],
    ]);
    assert.deepEqual(
      runs.filter(({ lane }) => lane === 'programs').map(({ name }) => name),
      ['layer', 'captured', 'head'],
    );
  });
});
