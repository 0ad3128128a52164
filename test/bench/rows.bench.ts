import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { openDataset } from '../../src/data/dataset.ts';
import { PromptSource } from '../../src/data/prompt-source.ts';
import { DEFAULT_KEYS } from '../../src/data/row.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { now, print } from './harness.ts';
import { Peer } from './peer.ts';

/** Bytes of a prompt. */
const PROMPT_BYTES = 4096;
const BATCH = 64;
const BATCHES = 100;
/** Batches of Parquet, of which a row costs the reading of a page. */
const PARQUET_BATCHES = 10;

/**
 * Files of rows that are larger than what may be held of them: how fast they are checked, how long a row of a shuffled
 * batch takes, and how little of them stays in memory. `CXMIND_BENCH_GIB` is their size, 1 unless given. The Parquet
 * files are pyarrow's, by its defaults and as `datasets` has them written.
 *
 * 2026-11-28, 4 GiB, two cores that others used too: a row of JSON Lines 0.16 ms; of Parquet 13 ms with row groups of
 * 1,000 rows, 34 ms with one row group of a million and no offset index; peak 830 MiB. Reading whole row groups took 660
 * ms a row of the former.
 */
export async function benchRows(): Promise<void> {
  const gib = Number(process.env['CXMIND_BENCH_GIB'] ?? 1);
  using folder = new TemporaryDirectory();
  const from = join(folder.path, 'rows.jsonl');
  const rows = Math.floor((gib * 2 ** 30) / PROMPT_BYTES);
  await writeRows(from, rows);
  await readShuffled(from, { gib, rows, format: 'jsonl' }, BATCHES);
  await using writer = Peer.start('pyarrow', 'parquet.py', {});
  if (writer === undefined) return;
  for (const by of ['pyarrow', 'datasets']) {
    const to = join(folder.path, `${by}.parquet`);
    await writer.measure({ from, to, by });
    await readShuffled(to, { gib, rows, format: `parquet of ${by}` }, PARQUET_BATCHES);
  }
}

/** Checks a file, of which nothing is held, and reads shuffled batches of it. */
async function readShuffled(
  source: string,
  params: Readonly<Record<string, number | string>>,
  batches: number,
): Promise<void> {
  let start = now();
  const options = { ...DEFAULT_KEYS, source, invalidRows: 'fail', heldBytes: 0 } as const;
  const { rows } = await openDataset(options);
  const mib = (rows.length * PROMPT_BYTES) / 2 ** 20;
  print({ name: 'rows.check', params, unit: 'MiB/s' }, [mib / (now() - start)]);

  const order = { rowCount: rows.length, batchSize: BATCH, shuffle: true, seed: 1 };
  const prompts = new PromptSource(order);
  const [milliseconds, resident]: [number[], number[]] = [[], []];
  for (let i = 0; i < batches; i++) {
    start = now();
    await prompts.take((row) => rows.at(row));
    milliseconds.push((1000 * (now() - start)) / BATCH);
    resident.push(process.memoryUsage.rss() / 2 ** 20);
  }
  const shuffled = { ...params, batch: BATCH };
  print({ name: 'rows.shuffled', params: shuffled, unit: 'ms/row' }, milliseconds);
  print({ name: 'rows.resident', params: shuffled, unit: 'MiB' }, resident);
}

async function writeRows(path: string, count: number): Promise<void> {
  const words = Array.from({ length: PROMPT_BYTES / 8 }, (_, i) => String(i).padStart(7, '0'));
  const text = words.join(' ');
  const file = createWriteStream(path, { highWaterMark: 1 << 20 });
  for (let i = 0; i < count; i++) {
    const line = `{"prompt":"${i} ${text}","answer":"${i % 7}"}\n`;
    if (!file.write(line)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'close');
}
