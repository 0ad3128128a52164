import { once } from 'node:events';
import { createWriteStream, statSync } from 'node:fs';
import { join } from 'node:path';
import { openDataset } from '../../src/data/dataset.ts';
import { PromptSource } from '../../src/data/prompt-source.ts';
import { DEFAULT_KEYS } from '../../src/data/row.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { now, print } from './harness.ts';

/** Bytes of a prompt. */
const PROMPT_BYTES = 4096;
const BATCH = 64;
const BATCHES = 100;

/**
 * A file of rows that is larger than what may be held of it: how fast it is checked, how fast shuffled batches are read
 * from it, and, by the process's peak memory, how little of it stays. `CXMIND_BENCH_GIB` is its size, 1 unless given.
 *
 * 2026-11-28, 10 GiB, 2.6 million rows, two cores that others used too: checked at 314 MiB a second, 5,900 shuffled rows a
 * second, peak 380 MiB.
 */
export async function benchRows(): Promise<void> {
  const gib = Number(process.env['CXMIND_BENCH_GIB'] ?? 1);
  using folder = new TemporaryDirectory();
  const path = join(folder.path, 'rows.jsonl');
  const count = Math.floor((gib * 2 ** 30) / PROMPT_BYTES);
  await writeRows(path, count);
  const fileMiB = statSync(path).size / 2 ** 20;
  const params = { gib, rows: count };

  let start = now();
  const { rows } = await openDataset({ ...DEFAULT_KEYS, source: path, invalidRows: 'fail' });
  print({ name: 'rows.check', params, unit: 'MiB/s' }, [fileMiB / (now() - start)]);

  const order = { rowCount: rows.length, batchSize: BATCH, shuffle: true, seed: 1 };
  const source = new PromptSource(order);
  const seconds: number[] = [];
  for (let i = 0; i < BATCHES; i++) {
    start = now();
    await source.take((row) => rows.at(row));
    seconds.push(now() - start);
  }
  print(
    { name: 'rows.shuffled', params: { ...params, batch: BATCH }, unit: 'rows/s' },
    seconds.map((one) => BATCH / one),
  );
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
