import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

/** Loads a library of the system that nobody here uses, and ends. */
const program = `
  import { workerData } from 'node:worker_threads';
  const { loadForGood } = await import(workerData.native);
  loadForGood(workerData.library);
`;

describe('loadForGood', () => {
  it('keeps a library that may have threads when the thread ends that loaded it', async function () {
    if (process.platform !== 'linux') this.skip();
    const library = 'libanl.so.1';
    const isLoaded = (): boolean => readFileSync('/proc/self/maps', 'utf8').includes(library);
    assert.ok(!isLoaded());
    const native = new URL('../../src/native.ts', import.meta.url).href;
    const url = new URL(`data:text/javascript,${encodeURIComponent(program)}`);
    const worker = new Worker(url, { workerData: { native, library } });
    await once(worker, 'exit');
    assert.ok(isLoaded());
  });
});
