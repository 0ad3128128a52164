import assert from 'node:assert/strict';
import fc from 'fast-check';
import { mapBySlot, type SizedHost } from '../../../../transport/launch/mapping.ts';

function host(name: string, slots: number, maxSlots = Infinity): SizedHost {
  return { host: name, user: undefined, port: undefined, slots, maxSlots };
}

/** `a 0-1, b 2`: which ranks go where. */
function map(hosts: readonly SizedHost[], ranks?: number, oversubscribe?: boolean): string {
  return mapBySlot(hosts, ranks, oversubscribe)
    .map(({ host: { host: name }, first, count }) =>
      count === 1 ? `${name} ${first}` : `${name} ${first}-${first + count - 1}`,
    )
    .join(', ');
}

const threeByFour = [host('aa', 4), host('bb', 4), host('cc', 4)];

describe('mapBySlot', () => {
  it('fills one host after the other', () => {
    assert.equal(map(threeByFour, 6), 'aa 0-3, bb 4-5');
    assert.equal(map(threeByFour), 'aa 0-3, bb 4-7, cc 8-11');
    assert.equal(map([host('a', 0), host('b', 1)]), 'b 0');
  });

  it('refuses more ranks than slots, with both numbers and the way out', () => {
    assert.throws(() => map([host('a', 2), host('b', 1)], 5), {
      code: 'CONFIG_INVALID',
      message:
        '5 ranks are asked for and there are 3 slots (a 2, b 1): ask for no more with --np, ' +
        'give hosts more slots, or add --oversubscribe',
    });
    assert.throws(() => map([host('a', 0)]), { message: 'nothing to start: a 0' });
  });

  // as `mpirun --oversubscribe --do-not-launch --display-map` of Open MPI 4.1.4 maps
  for (const [slots, ranks, expected] of [
    [[2, 1], 5, 'n0 0-2, n1 3-4'],
    [[2, 1], 9, 'n0 0-4, n1 5-8'],
    [[1, 1], 5, 'n0 0-2, n1 3-4'],
    [[3, 3], 8, 'n0 0-3, n1 4-7'],
    [[2, 2, 2], 5, 'n0 0-1, n1 2-3, n2 4'],
  ] as const) {
    it(`spreads ${ranks} ranks over ${slots.join(' + ')} slots as mpirun does`, () => {
      const hosts = slots.map((count, i) => host(`n${i}`, count));
      assert.equal(map(hosts, ranks, true), expected);
    });
  }

  it('never goes beyond max_slots', () => {
    const hosts = [host('aa', 4, 4), host('bb', 4, 4), host('cc', 4)];
    assert.equal(map(hosts, 14, true), 'aa 0-3, bb 4-7, cc 8-13');
    assert.equal(map([host('a', 1, 3), host('b', 1, 8)], 9, true), 'a 0-2, b 3-8');
    assert.throws(() => map([host('a', 1, 2), host('b', 1, 2)], 5, true), {
      message: '5 ranks are asked for and max_slots allows 4 (a 1, b 1)',
    });
  });

  it('gives every rank one place, in order', () => {
    const hosts = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(hosts, fc.integer({ min: 1, max: 60 }), (slots, ranks) => {
        const shares = mapBySlot(
          slots.map((count, i) => host(`n${i}`, count)),
          ranks,
          true,
        );
        let next = 0;
        for (const { first, count } of shares) {
          assert.equal(first, next);
          next += count;
        }
        assert.equal(next, ranks);
      }),
    );
  });
});
