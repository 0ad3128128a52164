import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Lookahead } from '../../../src/data/lookahead.ts';
import { PromptSource, type PromptCursor } from '../../../src/data/prompt-source.ts';
import { EpochOrder } from '../../../src/data/shuffle.ts';
import { CxmindError } from '../../../src/errors.ts';

describe('Lookahead', () => {
  it('begins with what is expected, once, and gives up what is not any more', async () => {
    const made: number[] = [];
    const ahead = new Lookahead((item) => {
      made.push(item);
      return Promise.resolve(item * 10);
    });
    ahead.expect([1, 2]);
    ahead.expect([2, 3]);
    assert.deepEqual(made, [1, 2, 3]);
    assert.deepEqual([await ahead.take(2), await ahead.take(7)], [20, 70]);
    await ahead.take(2);
    await ahead.take(1);
    assert.deepEqual(made, [1, 2, 3, 7, 2, 1]);
  });

  it('tells of a failure when the item is taken', async () => {
    const ahead = new Lookahead((item) =>
      Promise.reject(new CxmindError('DATA_INVALID', `${item}`)),
    );
    ahead.expect([4]);
    await new Promise(setImmediate);
    await assert.rejects(ahead.take(4), { message: '4' });
  });
});

/** A loader as the data actor is one: rows made by some workers in whatever order, bad ones passed over. */
class Loader {
  readonly #source: PromptSource;
  readonly #ahead: Lookahead<number | null>;
  readonly #count: number;

  constructor(
    options: ConstructorParameters<typeof PromptSource>[0],
    { workers, badRow }: { workers: number; badRow: number | null },
    cursor?: PromptCursor,
  ) {
    this.#source = new PromptSource(options, cursor);
    this.#count = options.batchSize + workers;
    const queues = Array.from({ length: workers }, () => Promise.resolve());
    this.#ahead = new Lookahead((row) => {
      const worker = row % workers;
      // Each worker takes turns of its own length, so that rows are done out of order.
      const done = queues[worker]!.then(async () => {
        for (let turn = 0; turn <= worker; turn++) await Promise.resolve();
      });
      queues[worker] = done;
      return done.then(() => (row === badRow ? null : row));
    });
  }

  async next(): Promise<{ rows: number[]; cursor: PromptCursor }> {
    this.#ahead.expect(this.#source.upcoming(this.#count));
    const rows = await this.#source.take((row) => this.#ahead.take(row));
    this.#ahead.expect(this.#source.upcoming(this.#count));
    return { rows, cursor: this.#source.cursor };
  }
}

const loaders = fc
  .record({
    batchSize: fc.integer({ min: 1, max: 5 }),
    batches: fc.integer({ min: 1, max: 6 }),
    extra: fc.nat({ max: 4 }),
    seed: fc.nat(),
    shuffle: fc.boolean(),
    workers: fc.integer({ min: 1, max: 4 }),
    crashes: fc.array(fc.nat({ max: 12 }), { maxLength: 3 }),
  })
  .map(({ batchSize, batches, extra, ...rest }) => ({
    ...rest,
    batches,
    batchSize,
    rowCount: batchSize * batches + Math.min(extra, batchSize - 1),
  }));

describe('a loader that looks ahead', () => {
  it('gives each row once an epoch, for any number of workers and wherever it crashes', async () => {
    await fc.assert(
      fc.asyncProperty(loaders, async ({ batches, workers, crashes, ...options }) => {
        const epochs = 2;
        let loader = new Loader(options, { workers, badRow: null });
        let cursor: PromptCursor | undefined;
        const seen: number[] = [];
        for (let batch = 0; batch < batches * epochs; batch++) {
          // A crash after the batch was made and before it was trained on: it is made again.
          if (crashes.includes(batch)) {
            await loader.next();
            loader = new Loader(options, { workers, badRow: null }, cursor);
          }
          const { rows, cursor: after } = await loader.next();
          cursor = after;
          seen.push(...rows);
        }
        for (let epoch = 0; epoch < epochs; epoch++) {
          const share = batches * options.batchSize;
          const rows = seen.slice(epoch * share, (epoch + 1) * share);
          assert.equal(new Set(rows).size, share);
        }
        const { rowCount, seed, shuffle, batchSize } = options;
        const orders = new EpochOrder(rowCount, seed);
        const expected = [0, 1].flatMap((epoch) => {
          const order = shuffle ? [...orders.order(epoch)] : [...Array(rowCount).keys()];
          return order.slice(0, batches * batchSize);
        });
        assert.deepEqual(seen, expected);
      }),
      { numRuns: 200 },
    );
  });

  it('passes over the same bad row whoever makes it, also after a crash', async () => {
    const options = { rowCount: 11, batchSize: 2, shuffle: true, seed: 3 };
    const takeAll = async (workers: number, crash: boolean): Promise<number[]> => {
      const settings = { workers, badRow: 4 };
      let loader = new Loader(options, settings);
      const rows: number[] = [];
      for (let batch = 0; batch < 12; batch++) {
        const next = await loader.next();
        rows.push(...next.rows);
        const saved = JSON.parse(JSON.stringify(next.cursor)) as PromptCursor;
        if (crash) loader = new Loader(options, settings, saved);
      }
      return rows;
    };
    const expected = await takeAll(1, false);
    assert.equal(expected.includes(4), false);
    assert.deepEqual(await takeAll(3, false), expected);
    assert.deepEqual(await takeAll(4, true), expected);
  });
});
