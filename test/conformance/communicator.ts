import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fromWireError, type ErrorCode } from '../../src/errors.ts';
import { bf16ToNumber, numberToBf16, type DType } from '../../src/tensor/dtype.ts';
import { tensorOf, zeros, type Tensor } from '../../src/tensor/tensor.ts';
import type { Communicator, Reduction } from '../../transport/collectives/communicator.ts';
import type { RankReply, RankRequest } from '../support/rank-agent.ts';

/** Ranks of a group, each in a thread or process of its own, that run a `RankAgent`. */
export interface Ranks {
  /** Sends a request; resolves with the reply, never when the rank dies first. */
  ask(rank: number, request: Omit<RankRequest, 'id'>): Promise<RankReply>;
  /** Ends a rank's thread or process in mid-air. */
  kill(rank: number): Promise<void>;
}

/** Has ranks, which it starts as groups want them, and ends them. */
export interface Carrier extends AsyncDisposable {
  /** Forms a group, of ranks that may be in others already. */
  open(size: number): Promise<Ranks>;
}

/** A kind of communicator under test. */
export interface CommunicatorSetup {
  start(): Carrier;
  /** Whether the others survive the death of a rank; a whole MPI job ends with any of them. */
  readonly survivesLoss: boolean;
  /** More elements than any buffer of the implementation holds. */
  readonly large: number;
}

type Method = Exclude<keyof Communicator, 'rank' | 'size' | typeof Symbol.asyncDispose>;

/** What every communicator does, whatever carries it. */
export function communicatorConformance(name: string, setup: CommunicatorSetup): void {
  describe(`Communicator: ${name}`, () => {
    let carrier: Carrier;
    const open = new Map<number, Promise<Ranks>>();
    /** Groups are started once and serve many tests, as long as nothing in them fails. */
    const groupOf = (size: number): Promise<Ranks> => {
      const group = open.get(size) ?? carrier.open(size);
      open.set(size, group);
      return group;
    };
    let splits = 0;
    /** A communicator of the group of three for a test that spoils it. */
    const spoilable = async (): Promise<[group: Ranks, number: number]> => {
      const group = await groupOf(3);
      const parts = [0, 1, 2].map((rank) =>
        group.ask(rank, { group: 0, method: 'split', args: [{ color: 0 }] }),
      );
      for (const { place } of await Promise.all(parts)) assert.equal(place?.size, 3);
      return [group, ++splits];
    };
    before(() => {
      carrier = setup.start();
    });
    after(() => carrier[Symbol.asyncDispose]());

    // four are like two and five
    for (const size of [1, 2, 3, 5]) {
      it(`does every operation as plain sums say, on ${size} ranks`, async () => {
        const group = await groupOf(size);
        await fc.assert(
          fc.asyncProperty(operation(size), (op) => checkOperation(group, size, op)),
          { numRuns: 25 },
        );
      });
    }

    it('reduces, spreads and collects tensors larger than its buffers', async () => {
      const group = await groupOf(3);
      for (const method of ['allReduce', 'broadcast', 'allGather', 'reduceScatter'] as const) {
        const op = {
          method,
          dtype: 'f32',
          reduction: 'mean',
          count: setup.large,
          root: 1,
        } as const;
        await checkOperation(group, 3, { ...op, seed: 7 });
      }
    });

    it('gives equal bits on every rank, and again for the same input', async () => {
      const group = await groupOf(5);
      const inputs = Array.from({ length: 5 }, (_, rank) => values('f32', 1001, rank + 5));
      const once = await all(group, 5, 'allReduce', (rank) => [inputs[rank], 'sum']);
      const again = await all(group, 5, 'allReduce', (rank) => [inputs[rank], 'sum']);
      const [first, ...others] = [...once, ...again].map(([tensor]) => bytes(tensor as Tensor));
      for (const other of others) assert.deepEqual(other, first);
    });

    it('keeps calls in order that are not waited for', async () => {
      const group = await groupOf(2);
      const replies = await Promise.all(
        [1, 2, 3].flatMap((value) =>
          [0, 1].map((rank) =>
            call(group, rank, 'allReduce', [tensorOf('i32', [1], [value]), 'sum']),
          ),
        ),
      );
      const sums = replies.map(([tensor]) => (tensor as Tensor).data[0]);
      assert.deepEqual(sums, [2, 2, 4, 4, 6, 6]);
    });

    it('brings messages of a tag in order, whatever came in between', async () => {
      const group = await groupOf(2);
      const sent = [1, 2, 3, 4].map((value) =>
        call(group, 0, 'send', [tensorOf('i32', [1], [value]), 1, value % 2]),
      );
      const received: unknown[] = [];
      for (const tag of [0, 0, 1, 1]) {
        const [tensor] = await call(group, 1, 'receive', [zeros('i32', [1]), 0, tag]);
        received.push((tensor as Tensor).data[0]);
      }
      await Promise.all(sent);
      assert.deepEqual(received, [2, 4, 1, 3]);
    });

    it('exchanges large messages both ways at a time, beside a collective', async () => {
      const group = await groupOf(2);
      const count = setup.large;
      const both = [0, 1].flatMap((rank) => [
        call(group, rank, 'send', [values('f32', count, rank), 1 - rank, 9]),
        call(group, rank, 'allReduce', [tensorOf('f32', [1], [rank]), 'sum']),
        call(group, rank, 'receive', [zeros('f32', [count]), 1 - rank, 9]),
      ]);
      const replies = await Promise.all(both);
      assert.deepEqual(bytes(replies[2]![0] as Tensor), bytes(values('f32', count, 1)));
      assert.deepEqual(bytes(replies[5]![0] as Tensor), bytes(values('f32', count, 0)));
    });

    it('splits into groups ordered by key, which work beside each other', async () => {
      const group = await groupOf(5);
      const places = await Promise.all(
        [0, 1, 2, 3, 4].map((rank) =>
          group.ask(rank, {
            group: 0,
            method: 'split',
            args: [{ color: rank === 4 ? null : rank % 2, key: -rank }],
          }),
        ),
      );
      assert.deepEqual(
        places.map(({ place, error }) => error ?? place),
        [
          { rank: 1, size: 2 },
          { rank: 1, size: 2 },
          { rank: 0, size: 2 },
          { rank: 0, size: 2 },
          null,
        ],
      );
      const sums = await Promise.all(
        [0, 1, 2, 3].map((rank) =>
          call(group, rank, 'allReduce', [tensorOf('i32', [1], [10 ** rank]), 'sum'], 1),
        ),
      );
      assert.deepEqual(
        sums.map(([tensor]) => (tensor as Tensor).data[0]),
        [101, 1010, 101, 1010],
      );
    });

    const failing = (
      title: string,
      code: ErrorCode,
      ask: (rank: number) => [Method, unknown[]],
    ): void => {
      it(`${title} with ${code} on every rank, and is of no use after`, async () => {
        const [group, number] = await spoilable();
        for (const attempt of [ask, () => ['barrier', []] as [Method, unknown[]]]) {
          const replies = await Promise.all(
            [0, 1, 2].map((rank) => {
              const [method, args] = attempt(rank);
              return group.ask(rank, { group: number, method, args });
            }),
          );
          assert.deepEqual(
            replies.map(({ error }) => error?.code),
            [code, code, code],
          );
        }
      });
    };
    failing('rejects different sizes', 'SHAPE_MISMATCH', (rank) => [
      'allReduce',
      [zeros('f32', [rank === 1 ? 5 : 4]), 'sum'],
    ]);
    failing('rejects different roots', 'SHAPE_MISMATCH', (rank) => [
      'broadcast',
      [zeros('f32', [4]), rank === 2 ? 1 : 0],
    ]);
    failing('rejects different operations', 'SHAPE_MISMATCH', (rank) =>
      rank === 0 ? ['barrier', []] : ['allReduce', [zeros('f32', [4]), 'sum']],
    );
    failing('rejects different dtypes', 'DTYPE_MISMATCH', (rank) => [
      'allReduce',
      [zeros(rank === 0 ? 'i32' : 'f32', [4]), 'sum'],
    ]);
    failing('rejects a dtype it does not carry', 'DTYPE_MISMATCH', (rank) => [
      'allReduce',
      [zeros(rank === 1 ? 'u8' : 'f32', [4]), 'sum'],
    ]);
    failing('rejects an output of the wrong size on one rank', 'SHAPE_MISMATCH', (rank) => [
      'allGather',
      [zeros('f32', [2]), zeros('f32', [rank === 1 ? 5 : 6])],
    ]);
    failing('rejects a root without output', 'SHAPE_MISMATCH', () => [
      'gather',
      [zeros('f32', [2]), null, 1],
    ]);

    it('rejects a message of another size or dtype where it is received', async () => {
      const group = await groupOf(2);
      void call(group, 0, 'send', [zeros('f32', [3]), 1]);
      const size = group.ask(1, { group: 0, method: 'receive', args: [zeros('f32', [2]), 0] });
      assert.equal((await size).error?.code, 'SHAPE_MISMATCH');
      void call(group, 0, 'send', [zeros('i32', [3]), 1]);
      const dtype = group.ask(1, { group: 0, method: 'receive', args: [zeros('f32', [3]), 0] });
      assert.equal((await dtype).error?.code, 'DTYPE_MISMATCH');
    });

    if (!setup.survivesLoss) return;

    it('rejects with PEER_LOST when a rank leaves that others wait for', async () => {
      const group = await carrier.open(2);
      const waiting = group.ask(0, { group: 0, method: 'barrier', args: [] });
      await group.ask(1, { group: 0, method: 'leave', args: [] });
      assert.equal((await waiting).error?.code, 'PEER_LOST');
    });

    // the last: other groups have that rank too
    it('rejects collectives and messages with PEER_LOST when a rank dies', async () => {
      const group = await carrier.open(3);
      await all(group, 3, 'barrier', () => []);
      const tensor = zeros('f32', [4]);
      const waiting = [
        group.ask(0, { group: 0, method: 'allReduce', args: [tensor, 'sum'] }),
        group.ask(2, { group: 0, method: 'receive', args: [tensor, 1] }),
      ];
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
  readonly reduction: Reduction;
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
      'allReduce',
      'reduce',
      'reduceScatter',
      'allGather',
      'gather',
      'scatter',
    ),
    dtype: fc.constantFrom(...carried),
    reduction: fc.constantFrom('sum', 'mean', 'max'),
    count: fc.oneof(fc.constantFrom(0, 1), fc.nat(100), fc.nat(20_000)),
    root: fc.nat(size - 1),
    seed: fc.nat(1000),
  });
}

/** Runs an operation on every rank and compares every tensor with what plain arithmetic says. */
async function checkOperation(group: Ranks, size: number, op: Operation): Promise<void> {
  const { method, dtype, reduction, count, root, seed } = op;
  const ranks = Array.from({ length: size }, (_, rank) => rank);
  const own = (rank: number, length = count): Tensor => values(dtype, length, seed + 31 * rank);
  const empty = (length = count): Tensor => zeros(dtype, [length]);
  const reduced = (length: number): Float64Array =>
    reduceNumbers(
      dtype,
      reduction,
      ranks.map((rank) => numbers(own(rank, length))),
    );
  const rows = (): Float64Array => concatenated(ranks.map((rank) => numbers(own(rank))));
  const part = (all: Float64Array, rank: number): Float64Array =>
    all.slice(rank * count, (rank + 1) * count);
  const run = (args: (rank: number) => unknown[]): Promise<unknown[][]> =>
    all(group, size, method, args);
  const expect = (results: unknown[][], at: number, want: (rank: number) => Float64Array): void => {
    results.forEach((args, rank) =>
      assertClose(dtype, numbers(args[at] as Tensor), want(rank), op),
    );
  };

  switch (method) {
    case 'barrier':
      await run(() => []);
      return;
    case 'broadcast': {
      const want = numbers(own(root));
      expect(await run((rank) => [own(rank), root]), 0, () => want);
      return;
    }
    case 'allReduce': {
      const want = reduced(count);
      expect(await run((rank) => [own(rank), reduction]), 0, () => want);
      return;
    }
    case 'reduce':
      expect(await run((rank) => [own(rank), root, reduction]), 0, (rank) =>
        rank === root ? reduced(count) : numbers(own(rank)),
      );
      return;
    case 'reduceScatter': {
      const want = reduced(count * size);
      expect(await run((rank) => [own(rank, count * size), empty(), reduction]), 1, (rank) =>
        part(want, rank),
      );
      return;
    }
    case 'allGather': {
      const want = rows();
      expect(await run((rank) => [own(rank), empty(count * size)]), 1, () => want);
      return;
    }
    case 'gather': {
      const results = await run((rank) => [
        own(rank),
        rank === root ? empty(count * size) : null,
        root,
      ]);
      expect([results[root]!], 1, rows);
      return;
    }
    case 'scatter': {
      const whole = own(root, count * size);
      expect(await run((rank) => [rank === root ? whole : null, empty(), root]), 1, (rank) =>
        part(numbers(whole), rank),
      );
      return;
    }
    case 'send':
    case 'receive':
    case 'split':
      throw new Error(`${method} has tests of its own`);
  }
}

/** One method on every rank; the arguments after it. */
function all(
  group: Ranks,
  size: number,
  method: Method,
  args: (rank: number) => unknown[],
): Promise<unknown[][]> {
  return Promise.all(
    Array.from({ length: size }, (_, rank) => call(group, rank, method, args(rank))),
  );
}

async function call(
  group: Ranks,
  rank: number,
  method: Method,
  args: unknown[],
  of = 0,
): Promise<unknown[]> {
  const reply = await group.ask(rank, { group: of, method, args });
  if (reply.error !== undefined) throw fromWireError(reply.error);
  return [...reply.args!];
}

/** Numbers that every dtype holds exactly, small enough that no sum of five overflows one. */
function values(dtype: DType, length: number, seed: number): Tensor {
  const tensor = zeros(dtype, [length]);
  for (let i = 0; i < length; i++) {
    const whole = ((i * 37 + seed * 101) % 129) - 64;
    if (dtype === 'i64') (tensor.data as BigInt64Array)[i] = BigInt(whole);
    else if (dtype === 'bf16') tensor.data[i] = numberToBf16(whole);
    else tensor.data[i] = dtype === 'f32' ? whole + ((i * 13 + seed) % 64) / 64 : whole;
  }
  return tensor;
}

function numbers({ dtype, data }: Tensor): Float64Array {
  if (dtype === 'bf16') return Float64Array.from(data as Uint16Array, bf16ToNumber);
  if (dtype === 'i64') return Float64Array.from(data as BigInt64Array, Number);
  return new Float64Array(data as Float32Array);
}

/** Reduced in float64, integers' means rounded towards zero. */
function reduceNumbers(dtype: DType, reduction: Reduction, columns: Float64Array[]): Float64Array {
  const result = columns[0]!.slice();
  for (const column of columns.slice(1)) {
    column.forEach((value, i) => {
      result[i] = reduction === 'max' ? Math.max(result[i]!, value) : result[i]! + value;
    });
  }
  if (reduction !== 'mean') return result;
  const count = columns.length;
  return result.map((sum) => (dtype.startsWith('i') ? Math.trunc(sum / count) : sum / count));
}

function concatenated(parts: readonly Float64Array[]): Float64Array {
  const result = new Float64Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
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

function bytes({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
}
