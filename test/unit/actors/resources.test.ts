import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ResourcePool, type Allocation } from '../../../actors/runtime/placement.ts';

const one = { slots: 1, devices: 0 };

describe('ResourcePool', () => {
  it('spreads claims over the nodes with the smallest share taken', () => {
    const pool = new ResourcePool('nodes');
    pool.add('a', { slots: 2, devices: [] });
    pool.add('b', { slots: 4, devices: [] });
    const nodes = Array.from({ length: 6 }, () => pool.take(one)?.node);
    assert.deepEqual(nodes, ['a', 'b', 'b', 'a', 'b', 'b']);
    assert.equal(pool.take(one), undefined);
  });

  it('gives devices by name, each to one actor at a time', () => {
    const pool = new ResourcePool('nodes');
    pool.add('a', { slots: 8, devices: ['cuda:0', 'cuda:1', 'cuda:2'] });
    const first = pool.take({ slots: 1, devices: 2 })!;
    assert.deepEqual(first.devices, ['cuda:0', 'cuda:1']);
    assert.equal(pool.take({ slots: 1, devices: 2 }), undefined);
    pool.release(first);
    assert.deepEqual(pool.take({ slots: 0, devices: 3 })?.devices.length, 3);
  });

  it('says what was wanted and what is free', () => {
    const pool = new ResourcePool('gpus');
    pool.add('a', { slots: 4, devices: ['cuda:0'] });
    pool.add('b', { slots: 1, devices: [] });
    pool.take({ slots: 3, devices: 1 });
    const wanted = { slots: 2, devices: 1 };
    assert.equal(pool.take(wanted), undefined);
    const error = pool.shortage('rollout/3', wanted);
    assert.equal(error.code, 'PLACEMENT_FAILED');
    assert.equal(
      error.message,
      'rollout/3 wants 2 slots and 1 devices, and no node of pool gpus has room: ' +
        'a has 1 slots and 0 devices free of 4 slots and 1 devices; ' +
        'b has 1 slots and 0 devices free of 1 slots and 0 devices',
    );
    assert.match(pool.shortage('rollout/3', wanted, 'b').message, /and not node b has room: b has/);
    assert.match(new ResourcePool('none').shortage('x', one).message, /there is no such node/);
  });

  it('never gives more than there is, and has all of it again at the end', () => {
    const claims = fc.record({ slots: fc.nat(3), devices: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(fc.oneof(claims, fc.constant('release' as const))), (steps) => {
        const pool = new ResourcePool('nodes');
        pool.add('a', { slots: 4, devices: ['x', 'y'] });
        pool.add('b', { slots: 3, devices: [] });
        const held: Allocation[] = [];
        for (const step of steps) {
          if (step === 'release') {
            const allocation = held.shift();
            if (allocation !== undefined) pool.release(allocation);
          } else {
            const allocation = pool.take(step);
            if (allocation !== undefined) held.push(allocation);
          }
          const ofA = held.filter(({ node }) => node === 'a');
          const devices = ofA.flatMap((each) => each.devices);
          assert.ok(ofA.reduce((sum, { slots }) => sum + slots, 0) <= 4);
          assert.equal(new Set(devices).size, devices.length);
        }
        for (const allocation of held) pool.release(allocation);
        assert.notEqual(pool.take({ slots: 4, devices: 2 }), undefined);
        assert.notEqual(pool.take({ slots: 3, devices: 0 }), undefined);
      }),
    );
  });
});
