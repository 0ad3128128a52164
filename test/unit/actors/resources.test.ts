import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { RemoteNode } from '../../../actors/runtime/nodes/remote-node.ts';
import { Placement, type Allocation, type Resources } from '../../../actors/runtime/placement.ts';

const one = { slots: 1, devices: 0 };

/** A placement of nodes that stay, in one pool. */
function placementOf(pool: string, nodes: Readonly<Record<string, Resources>>): Placement {
  const placement = new Placement();
  for (const [name, resources] of Object.entries(nodes)) {
    const ended = new Promise<never>(() => undefined);
    placement.add({ name, ended } as unknown as RemoteNode, pool, resources);
  }
  return placement;
}

describe('Placement', () => {
  it('spreads claims over the nodes with the smallest share taken', () => {
    const resources = { a: { slots: 2, devices: [] }, b: { slots: 4, devices: [] } };
    const placement = placementOf('nodes', resources);
    const nodes = Array.from({ length: 6 }, () => placement.take('nodes', one)?.node.name);
    assert.deepEqual(nodes, ['a', 'b', 'b', 'a', 'b', 'b']);
    assert.equal(placement.take('nodes', one), undefined);
  });

  it('gives devices by name, each to one actor at a time', () => {
    const devices = ['cuda:0', 'cuda:1', 'cuda:2'];
    const placement = placementOf('nodes', { a: { slots: 8, devices } });
    const first = placement.take('nodes', { slots: 1, devices: 2 })!;
    assert.deepEqual(first.devices, ['cuda:0', 'cuda:1']);
    assert.equal(placement.take('nodes', { slots: 1, devices: 2 }), undefined);
    placement.release(first);
    assert.deepEqual(placement.take('nodes', { slots: 0, devices: 3 })?.devices.length, 3);
  });

  it('says what was wanted and what is free', () => {
    const resources = { a: { slots: 4, devices: ['cuda:0'] }, b: { slots: 1, devices: [] } };
    const placement = placementOf('gpus', resources);
    placement.take('gpus', { slots: 3, devices: 1 });
    const wanted = { slots: 2, devices: 1 };
    assert.equal(placement.take('gpus', wanted), undefined);
    const error = placement.shortage('gpus', 'rollout/3', wanted);
    assert.equal(error.code, 'PLACEMENT_FAILED');
    assert.equal(
      error.message,
      'rollout/3 wants 2 slots and 1 devices, and no node of pool gpus has room: ' +
        'a has 1 slots and 0 devices free of 4 slots and 1 devices; ' +
        'b has 1 slots and 0 devices free of 1 slots and 0 devices',
    );
    const onB = placement.shortage('gpus', 'rollout/3', wanted, 'b');
    assert.match(onB.message, /and not node b has room: b has/);
    assert.match(placement.shortage('none', 'x', one).message, /there is no such node/);
  });

  it('never gives more than there is, and has all of it again at the end', () => {
    const claims = fc.record({ slots: fc.nat(3), devices: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(fc.oneof(claims, fc.constant('release' as const))), (steps) => {
        const resources = { a: { slots: 4, devices: ['x', 'y'] }, b: { slots: 3, devices: [] } };
        const placement = placementOf('nodes', resources);
        const held: Allocation[] = [];
        for (const step of steps) {
          if (step === 'release') {
            const allocation = held.shift();
            if (allocation !== undefined) placement.release(allocation);
          } else {
            const allocation = placement.take('nodes', step);
            if (allocation !== undefined) held.push(allocation);
          }
          const ofA = held.filter(({ node }) => node.name === 'a');
          const devices = ofA.flatMap((each) => each.devices);
          assert.ok(ofA.reduce((sum, { slots }) => sum + slots, 0) <= 4);
          assert.equal(new Set(devices).size, devices.length);
        }
        for (const allocation of held) placement.release(allocation);
        assert.notEqual(placement.take('nodes', { slots: 4, devices: 2 }), undefined);
        assert.notEqual(placement.take('nodes', { slots: 3, devices: 0 }), undefined);
      }),
    );
  });
});
