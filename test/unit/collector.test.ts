import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** Lets many objects outlive collections, drops them, and reports the bytes for new objects before and after. */
const work = `
const { parentPort, workerData } = require('node:worker_threads');
const { getHeapSpaceStatistics } = require('node:v8');
const newBytes = () =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size;
import(workerData).then(({ shrinkHeap }) => {
  let kept = [];
  for (let i = 0; i < 1e6; i++) kept[i % 1e5] = { i: [i] };
  kept = null;
  const before = newBytes();
  shrinkHeap();
  parentPort.postMessage([before, newBytes()]);
});
`;

const module = new URL('../../src/collector.ts', import.meta.url).href;

describe('garbageCollector', () => {
  it('is there where Node was started with --expose-gc, and changes nothing of Node itself', () => {
    const program = `
      import { garbageCollector, shrinkHeap } from ${JSON.stringify(module)};
      shrinkHeap();
      process.stdout.write(garbageCollector() === null ? 'none' : 'one');`;
    const kindWith = (...flags: readonly string[]): string => {
      const args = [...flags, '--input-type=module', '--eval', program];
      return spawnSync(process.execPath, args, { encoding: 'utf8' }).stdout;
    };
    assert.equal(kindWith(), 'none');
    assert.equal(kindWith('--expose-gc'), 'one');
  });
});

describe('shrinkHeap', () => {
  it('gives the memory back that new objects took', async () => {
    const worker = new Worker(work, { eval: true, workerData: module });
    // Both may come in one turn, so both are awaited from the beginning.
    const [[[before, after]]] = (await Promise.all([
      once(worker, 'message'),
      once(worker, 'exit'),
    ])) as [[[number, number]], unknown];
    assert.ok(before >= 8 * 2 ** 20, `${before} bytes before`);
    assert.ok(after <= 2 ** 21, `${after} bytes after`);
  });
});
