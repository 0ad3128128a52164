import assert from 'node:assert/strict';
import type { Place } from '../../../actors/runtime/placement.ts';
import {
  placeRun,
  type Host,
  type RunPlacement,
  type Station,
} from '../../../actors/trainer/placement.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { decodedConfig } from '../../support/decoded-config.ts';
import { effectOf } from '../../support/effect.ts';

const head: Host = { node: null, slots: 1 };
const host = (node: string, slots = 1): Host => ({ node, slots });
const named = (places: readonly Place[]): string[] =>
  places.map((place) => (place === 'thread' ? 'head' : 'node' in place ? place.node : place.pool));

const places = (stations: readonly Station[]): string[] =>
  named(stations.map(({ place }) => place));

interface Workers {
  readonly learners?: number;
  readonly rollouts?: number;
  readonly rewards?: number;
}

function placementOf(workers: Workers, trainer: object, hosts: readonly Host[]): RunPlacement {
  const worker = {
    actor: { num_workers: workers.learners ?? null },
    rollout: { num_workers: workers.rollouts ?? null },
    reward: { num_workers: workers.rewards ?? null },
  };
  return placeRun(planRun(decodedConfig({ worker, trainer })).placement, hosts);
}

function place(
  workers: Workers,
  hosts: readonly Host[],
): Record<'learners' | 'rollouts' | 'rewards' | 'reference', string[]> {
  const { learners, rollouts, rewards, reference } = placementOf(workers, {}, hosts);
  return {
    learners: places(learners),
    rollouts: places(rollouts),
    rewards: named(rewards),
    reference: places([reference]),
  };
}

describe('placeRun', () => {
  it('has one of everybody in this process when there is no other', () => {
    const all = { learners: ['head'], rollouts: ['head'], rewards: ['head'], reference: ['head'] };
    assert.deepEqual(place({}, [head]), all);
  });

  it('has a rollout and a reward actor on every host, and the reference away from the head', () => {
    const { learners, rollouts, rewards, reference } = place({}, [head, host('a'), host('b', 4)]);
    assert.deepEqual(learners, ['head']);
    assert.deepEqual(rollouts, ['head', 'a', 'b']);
    assert.deepEqual(rewards, rollouts);
    assert.deepEqual(reference, ['b']);
  });

  effectOf('worker.rollout.num_workers', 'worker.reward.num_workers');
  it('gives hosts rollout and reward actors by their slots', () => {
    const { rollouts } = place({ rollouts: 6 }, [head, host('a', 2), host('b', 3)]);
    const counts = ['head', 'a', 'b'].map((name) => rollouts.filter((n) => n === name).length);
    assert.deepEqual(counts, [1, 2, 3]);
    assert.deepEqual(place({ rewards: 3 }, [head, host('a', 2)]).rewards, ['a', 'head', 'a']);
  });

  it('leaves a head without slots to lead, with the first learner alone', () => {
    const { learners, rollouts, rewards, reference } = place({ rollouts: 3 }, [
      { node: null, slots: 0 },
      host('a'),
      host('b'),
    ]);
    assert.deepEqual(learners, ['head']);
    assert.deepEqual(rollouts, ['a', 'b', 'a']);
    assert.deepEqual(rewards, ['a', 'b']);
    assert.deepEqual(reference, ['a']);
  });

  effectOf('trainer.nnodes');
  it('refuses fewer hosts than are to train', () => {
    const trainer = { nnodes: 3 };
    assert.throws(() => placementOf({}, trainer, [head, host('a')]), {
      code: 'CONFIG_INVALID',
      message: /^trainer.nnodes: 3 hosts are to train and 2 take part/,
    });
    const { learners } = placementOf({}, trainer, [head, host('a'), host('b')]);
    assert.deepEqual(places(learners), ['head', 'a', 'b']);
  });

  effectOf('worker.actor.num_workers');
  it('lays learners out in blocks of neighbours, from the head on', () => {
    const hosts = [head, host('a'), host('b')];
    assert.deepEqual(place({ learners: 2 }, hosts).learners, ['head', 'a']);
    assert.deepEqual(place({ learners: 3 }, hosts).learners, ['head', 'a', 'b']);
    assert.deepEqual(place({ learners: 6 }, hosts).learners, ['head', 'head', 'a', 'a', 'b', 'b']);
    assert.deepEqual(place({ learners: 3 }, [head]).learners, ['head', 'head', 'head']);
  });

  const cuda = { device: 'cuda', n_gpus_per_node: 3 };
  const cards = (workers: Workers, trainer: object = cuda): Record<string, string[]> => {
    const { learners, rollouts, reference } = placementOf(workers, trainer, [head]);
    const devices = (stations: readonly Station[]): string[] =>
      stations.map(({ device }) => device);
    return {
      learners: devices(learners),
      rollouts: devices(rollouts),
      reference: devices([reference]),
    };
  };

  it('has everybody on the processor where there are no cards', () => {
    const cpu = { learners: ['cpu', 'cpu'], rollouts: ['cpu'], reference: ['cpu'] };
    assert.deepEqual(cards({ learners: 2 }, { device: 'cpu', n_gpus_per_node: 3 }), cpu);
    assert.deepEqual(cards({ learners: 2 }, {}), cpu);
  });

  it('gives each card a learner and a rollout, and the last the reference', () => {
    const all = ['cuda:0', 'cuda:1', 'cuda:2'];
    assert.deepEqual(cards({}), { learners: all, rollouts: all, reference: ['cuda:2'] });
    assert.deepEqual(cards({}, { ...cuda, device: 'cuda:5' }), {
      learners: ['cuda:5'],
      rollouts: ['cuda:5'],
      reference: ['cuda:5'],
    });
  });

  it('has rollouts where learners are, whose weights they read', () => {
    assert.deepEqual(cards({ learners: 2 }), {
      learners: ['cuda:0', 'cuda:1'],
      rollouts: ['cuda:0', 'cuda:1'],
      reference: ['cuda:2'],
    });
    assert.deepEqual(cards({ learners: 2, rollouts: 3 })['rollouts'], [
      'cuda:0',
      'cuda:1',
      'cuda:0',
    ]);
  });

  it('refuses more learners than cards, and cards that other processes would have to reach', () => {
    assert.throws(() => cards({ learners: 4 }), {
      code: 'CONFIG_INVALID',
      message: /^worker\.actor\.num_workers: 4 learners .* 3 \(cuda:0, cuda:1, cuda:2\)/,
    });
    assert.throws(() => placementOf({}, cuda, [head, host('a')]), {
      code: 'CONFIG_INVALID',
      message: /^trainer\.device: cuda trains in one process/,
    });
  });
});
