import assert from 'node:assert/strict';
import type { Place } from '../../../actors/runtime/placement.ts';
import { placeRun, type Host } from '../../../actors/trainer/placement.ts';
import { Config } from '../../../src/config/schema.ts';

const head: Host = { node: null, slots: 1 };
const host = (node: string, slots = 1): Host => ({ node, slots });
const named = (places: readonly Place[]): string[] =>
  places.map((place) => (place === 'thread' ? 'head' : 'node' in place ? place.node : place.pool));

function place(
  worker: { learners?: number; rollouts?: number; rewards?: number },
  hosts: readonly Host[],
): Record<'learners' | 'rollouts' | 'rewards' | 'reference', string[]> {
  const decoded = Config.decode({
    worker: {
      actor: { num_workers: worker.learners ?? null },
      rollout: { num_workers: worker.rollouts ?? null },
      reward: { num_workers: worker.rewards ?? null },
    },
  });
  assert.equal(decoded._tag, 'Right');
  const { learners, rollouts, rewards, reference } = placeRun(decoded.right, hosts);
  return {
    learners: named(learners),
    rollouts: named(rollouts),
    rewards: named(rewards),
    reference: named([reference]),
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

  it('refuses fewer hosts than are to train', () => {
    const decoded = Config.decode({ trainer: { nnodes: 3 } });
    assert.equal(decoded._tag, 'Right');
    assert.throws(() => placeRun(decoded.right, [head, host('a')]), {
      code: 'CONFIG_INVALID',
      message: /^trainer.nnodes: 3 hosts are to train and 2 take part/,
    });
    assert.deepEqual(named(placeRun(decoded.right, [head, host('a'), host('b')]).learners), [
      'head',
      'a',
      'b',
    ]);
  });

  it('lays learners out in blocks of neighbours, from the head on', () => {
    const hosts = [head, host('a'), host('b')];
    assert.deepEqual(place({ learners: 2 }, hosts).learners, ['head', 'a']);
    assert.deepEqual(place({ learners: 3 }, hosts).learners, ['head', 'a', 'b']);
    assert.deepEqual(place({ learners: 6 }, hosts).learners, ['head', 'head', 'a', 'a', 'b', 'b']);
    assert.deepEqual(place({ learners: 3 }, [head]).learners, ['head', 'head', 'head']);
  });
});
