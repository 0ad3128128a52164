import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fromWireError, type ErrorCode } from '../../src/errors.ts';
import { bytesOf, type DType } from '../../src/tensor/dtype.ts';
import { numbersOf } from '../../src/tensor/numbers.ts';
import { tensorOf, zeros, type Tensor } from '../../src/tensor/tensor.ts';
import type { Communicator } from '../../transport/collectives/communicator.ts';
import type { RankReply, RankRequest } from '../support/rank-agent.ts';

/** Ranks of a group, each in a thread or process of its own, that run a `RankAgent`. */
export interface Ranks {
  /** Sends a request; resolves with the reply, never when the rank dies first. */
  ask(rank: number, request: Omit<RankRequest, 'id'>): Promise<RankReply>;
  /** Ends a rank's thread or process in mid-air. */
  kill(rank: number): Promise<void>;
}

/** A kind of communicator under test. */
export interface CommunicatorSetup {
  /** Forms a group, of ranks that may be in others already. */
  open(size: number): Promise<Ranks>;
  /** Sizes of the groups whose results are compared; four are like two and five. */
  readonly sizes: readonly number[];
  /** True where the others survive the death of a rank; a whole MPI job ends with any of them. */
  readonly survivesLoss: boolean;
  /** Elements of a tensor, of which a third is more than any buffer of the implementation holds. */
  readonly large: number;
}

type Method = Exclude<keyof Communicator, 'rank' | 'size' | typeof Symbol.asyncDispose>;

/** Suite that every communicator passes, whatever carries it. */
export function communicatorConformance(name: string, setup: CommunicatorSetup): void {
  describe(`Communicator: ${name}`, () => {
    const open = new Map<number, Promise<Ranks>>();
    /** Groups are started once and serve many tests, as long as nothing in them fails. */
    const groupOf = (size: number): Promise<Ranks> => {
      const group = open.get(size) ?? setup.open(size);
      open.set(size, group);
      return group;
    };

    for (const size of setup.sizes) {
      it(`does every operation as plain sums say, on ${size} ranks`, async () => {
        const group = await groupOf(size);
        await fc.assert(
          fc.asyncProperty(operation(size), (op) => checkOperation(group, size, op)),
          { numRuns: 25 },
        );
      });
    }

    it('adds up, spreads and collects tensors larger than its buffers', async () => {
      const group = await groupOf(3);
      for (const method of ['broadcast', 'allGather', 'reduceScatter'] as const) {
        const count = method === 'broadcast' ? setup.large : setup.large / 3;
        await checkOperation(group, 3, { method, dtype: 'f32', count, root: 1, seed: 7 });
      }
    });

    it('adds up to the same bits again for the same input', async () => {
      const size = Math.max(...setup.sizes);
      const group = await groupOf(size);
      const inputs = [3, 5, 7, 11, 13].map((prime) =>
        tensorOf(
          'f32',
          [1001 * size],
          Float32Array.from({ length: 1001 * size }, (_, i) => (i + 1) / prime),
        ),
      );
      const sum = (): Promise<Tensor[]> =>
        all(group, size, 'reduceScatter', (rank) => [inputs[rank], zeros('f32', [1001])]);
      const [once, again] = [await sum(), await sum()];
      assert.deepEqual(
        again.map(({ data }) => bytesOf(data)),
        once.map(({ data }) => bytesOf(data)),
      );
    });

    it('keeps calls in order that are not waited for', async () => {
      const group = await groupOf(3);
      const sums = await Promise.all(
        [1, 2, 3].map((value) =>
          all(group, 3, 'reduceScatter', () => [
            tensorOf('f32', [3], [value, 10 * value, 100 * value]),
            zeros('f32', [1]),
          ]),
        ),
      );
      assert.deepEqual(
        sums.flat().map(({ data }) => data[0]),
        [3, 30, 300, 6, 60, 600, 9, 90, 900],
      );
    });

    const failing = (
      title: string,
      code: ErrorCode,
      ask: (rank: number) => [Method, unknown[]],
    ): void => {
      it(`${title} with ${code} on every rank, and is of no use after`, async () => {
        const group = await setup.open(3);
        for (const attempt of [ask, () => ['barrier', []] as [Method, unknown[]]]) {
          const replies = await Promise.all(
            [0, 1, 2].map((rank) => {
              const [method, args] = attempt(rank);
              return group.ask(rank, { method, args });
            }),
          );
          assert.deepEqual(
            replies.map(({ error }) => error?.code),
            [code, code, code],
          );
        }
      });
    };
    failing('rejects different sizes', 'SHAPE_MISMATCH', (rank) => {
      const count = rank === 1 ? 5 : 4;
      return ['reduceScatter', [zeros('f32', [3 * count]), zeros('f32', [count])]];
    });
    failing('rejects different roots', 'SHAPE_MISMATCH', (rank) => [
      'broadcast',
      [zeros('f32', [4]), rank === 2 ? 1 : 0],
    ]);
    failing('rejects different operations', 'SHAPE_MISMATCH', (rank) =>
      rank === 0 ? ['barrier', []] : ['broadcast', [zeros('f32', [4]), 0]],
    );
    failing('rejects different dtypes', 'DTYPE_MISMATCH', (rank) => [
      'broadcast',
      [zeros(rank === 0 ? 'i32' : 'f32', [4]), 0],
    ]);
    failing('rejects a dtype it does not carry', 'DTYPE_MISMATCH', (rank) => [
      'broadcast',
      [zeros(rank === 1 ? 'u8' : 'f32', [4]), 0],
    ]);
    failing('rejects sums of a dtype that only moves', 'DTYPE_MISMATCH', () => [
      'reduceScatter',
      [zeros('bf16', [3]), zeros('bf16', [1])],
    ]);
    failing('rejects an output of the wrong size on one rank', 'SHAPE_MISMATCH', (rank) => [
      'allGather',
      [zeros('f32', [2]), zeros('f32', [rank === 1 ? 5 : 6])],
    ]);
    failing('rejects a root without output', 'SHAPE_MISMATCH', () => [
      'gather',
      [zeros('f32', [2]), null, 1],
    ]);

    if (!setup.survivesLoss) return;

    it('rejects with PEER_LOST when a rank leaves that others wait for', async () => {
      const group = await setup.open(2);
      const waiting = group.ask(0, { method: 'barrier', args: [] });
      await group.ask(1, { method: 'leave', args: [] });
      assert.equal((await waiting).error?.code, 'PEER_LOST');
    });

    // the last: other groups have that rank too
    it('rejects with PEER_LOST when a rank dies in the middle of a call', async () => {
      const group = await setup.open(3);
      await all(group, 3, 'barrier', () => []);
      const args = [zeros('f32', [12]), zeros('f32', [4])];
      const waiting = [0, 2].map((rank) => group.ask(rank, { method: 'reduceScatter', args }));
      await group.kill(1);
      const replies = await Promise.all(waiting);
      assert.deepEqual(
        replies.map(({ error }) => error?.code),
        ['PEER_LOST', 'PEER_LOST'],
      );
    });
  });
}

const carried = ['f32', 'f16', 'bf16', 'i32', 'i64'] as const;

interface Operation {
  readonly method: Method;
  readonly dtype: (typeof carried)[number];
  /** Elements of the smaller tensor. */
  readonly count: number;
  readonly root: number;
  readonly seed: number;
}

function operation(size: number): fc.Arbitrary<Operation> {
  return fc.record({
    method: fc.constantFrom<Method[]>(
      'barrier',
      'broadcast',
      'reduceScatter',
      'allGather',
      'gather',
      'scatter',
    ),
    dtype: fc.constantFrom(...carried),
    count: fc.oneof(fc.constantFrom(0, 1), fc.nat(100), fc.nat(20_000)),
    root: fc.nat(size - 1),
    seed: fc.nat(1000),
  });
}

/** Runs an operation on every rank and compares every tensor with what plain arithmetic says. */
async function checkOperation(group: Ranks, size: number, op: Operation): Promise<void> {
  const { method, count, root, seed } = op;
  // sums are of f32 alone
  const dtype = method === 'reduceScatter' ? 'f32' : op.dtype;
  const ranks = Array.from({ length: size }, (_, rank) => rank);
  const own = (rank: number, length = count): Tensor => values(dtype, length, seed + 31 * rank);
  const empty = (length = count): Tensor => zeros(dtype, [length]);
  const rows = (): Float64Array =>
    Float64Array.from(ranks.flatMap((rank) => [...numbersOf(own(rank))]));
  const part = (all: Float64Array, rank: number): Float64Array =>
    all.slice(rank * count, (rank + 1) * count);
  const run = (args: (rank: number) => unknown[]): Promise<Tensor[]> =>
    all(group, size, method, args);
  const expect = (results: Tensor[], want: (rank: number) => Float64Array): void => {
    results.forEach((output, rank) => assertClose(dtype, numbersOf(output), want(rank), op));
  };

  switch (method) {
    case 'barrier':
      await run(() => []);
      return;
    case 'broadcast': {
      const want = numbersOf(own(root));
      expect(await run((rank) => [own(rank), root]), () => want);
      return;
    }
    case 'reduceScatter': {
      const want = sumOf(ranks.map((rank) => numbersOf(own(rank, count * size))));
      expect(await run((rank) => [own(rank, count * size), empty()]), (rank) => part(want, rank));
      return;
    }
    case 'allGather': {
      const want = rows();
      expect(await run((rank) => [own(rank), empty(count * size)]), () => want);
      return;
    }
    case 'gather': {
      const results = await run((rank) => [
        own(rank),
        rank === root ? empty(count * size) : null,
        root,
      ]);
      expect([results[root]!], rows);
      return;
    }
    case 'scatter': {
      const whole = own(root, count * size);
      const want = numbersOf(whole);
      expect(await run((rank) => [rank === root ? whole : null, empty(), root]), (rank) =>
        part(want, rank),
      );
      return;
    }
  }
}

/** One method on every rank; what it wrote there. */
function all(
  group: Ranks,
  size: number,
  method: Method,
  args: (rank: number) => unknown[],
): Promise<Tensor[]> {
  return Promise.all(
    Array.from({ length: size }, async (_, rank) => {
      const { error, output } = await group.ask(rank, { method, args: args(rank) });
      if (error !== undefined) throw fromWireError(error);
      return output!;
    }),
  );
}

/** Numbers that every dtype holds exactly, small enough that no sum of five overflows one. */
function values(dtype: DType, length: number, seed: number): Tensor {
  const number = (i: number): number => {
    const whole = ((i * 37 + seed * 101) % 129) - 64;
    return dtype === 'f32' ? whole + ((i * 13 + seed) % 64) / 64 : whole;
  };
  return tensorOf(
    dtype,
    [length],
    Array.from({ length }, (_, i) => number(i)),
  );
}

function sumOf(columns: readonly Float64Array[]): Float64Array {
  return columns[0]!.map((_, i) => columns.reduce((sum, column) => sum + column[i]!, 0));
}

/** Half a unit in the last place of each dtype, relative. */
const precision: Readonly<Record<string, number>> = { f32: 2 ** -24, f16: 2 ** -11, bf16: 2 ** -8 };

function assertClose(dtype: DType, got: Float64Array, want: Float64Array, op: Operation): void {
  assert.equal(got.length, want.length);
  const unit = 2 * (precision[dtype] ?? 0);
  for (let i = 0; i < got.length; i++) {
    if (Math.abs(got[i]! - want[i]!) <= unit * Math.abs(want[i]!)) continue;
    assert.fail(`${JSON.stringify(op)}: element ${i} is ${got[i]}, not ${want[i]}`);
  }
}
