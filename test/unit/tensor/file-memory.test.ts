import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { bringIn, fileBuffer, isInFile, letGo } from '../../../src/tensor/file-memory.ts';
import { collectShared } from '../../../src/tensor/memory.ts';
import { zeros } from '../../../src/tensor/tensor.ts';
import { residentBytes } from '../../support/resident-memory.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const MiB = 2 ** 20;

describe('fileBuffer', () => {
  it('is memory of zeros that keeps what is let go of', () => {
    const block = fileBuffer(3 * MiB + 20);
    const numbers = new Float32Array(block);
    assert.ok(numbers.every((number) => number === 0));
    numbers.forEach((_, i) => (numbers[i] = i));
    assert.equal(residentBytes(block), 3 * MiB + 4096);
    letGo(numbers);
    assert.equal(residentBytes(block), 0);
    assert.ok(numbers.every((number, i) => number === i));
  });

  it('lets go of a part and brings in another', () => {
    const block = fileBuffer(4 * MiB);
    const bytes = new Uint8Array(block).fill(7);
    letGo(bytes.subarray(MiB));
    assert.equal(residentBytes(block), MiB);
    bringIn(bytes.subarray(3 * MiB), 'read');
    assert.equal(residentBytes(block), 2 * MiB);
    bringIn(bytes.subarray(2 * MiB, 3 * MiB), 'write');
    assert.equal(residentBytes(block), 3 * MiB);
  });

  it('leaves other memory as it is', () => {
    for (const data of [zeros('u8', [MiB]).data, new Uint8Array(MiB)]) {
      data.fill(5);
      assert.equal(isInFile(data.buffer), false);
      letGo(data);
      bringIn(data, 'write');
      assert.ok(data.every((byte) => byte === 5));
    }
  });

  it('is the same memory in every thread, and each may let go of it', async () => {
    const block = fileBuffer(MiB);
    new Uint8Array(block).fill(9);
    const memory = new URL('../../../src/tensor/file-memory.ts', import.meta.url).href;
    const source = `
      import { parentPort, workerData } from 'node:worker_threads';
      import { letGo } from ${JSON.stringify(memory)};
      const bytes = new Uint8Array(workerData);
      bytes[MARK] = bytes[0] + 1;
      letGo(bytes);
      parentPort.postMessage(workerData.growable);`.replace('MARK', String(MiB - 1));
    const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
    const worker = new Worker(url, { workerData: block });
    // A thread that ends at once may tell both in one turn.
    const exited = once(worker, 'exit');
    assert.deepEqual(await once(worker, 'message'), [true]);
    await exited;
    assert.equal(residentBytes(block), 0);
    assert.equal(new Uint8Array(block).at(-1), 10);
  });

  it('leaves nothing in the folder, and no file once nobody has the memory', async () => {
    using folder = new TemporaryDirectory();
    const isMapped = (): boolean => readFileSync('/proc/self/maps', 'utf8').includes(folder.path);
    const use = (): void => {
      assert.equal(new Uint8Array(fileBuffer(MiB, folder.path)).fill(1)[5], 1);
      assert.ok(isMapped());
    };
    use();
    assert.deepEqual(readdirSync(folder.path), []);
    for (let i = 0; i < 20 && isMapped(); i++) {
      await turn();
      collectShared();
    }
    assert.ok(!isMapped());
  });

  it('refuses a folder without room, and one that there is not', () => {
    using folder = new TemporaryDirectory();
    assert.throws(() => fileBuffer(2 ** 50, folder.path), {
      code: 'IO_FAILED',
      message:
        /^cannot keep 1024\.0 TiB in a file of \S+: [\d.]+ \wiB are free there; set TMPDIR to a folder with room, or offload less$/,
    });
    assert.deepEqual(readdirSync(folder.path), []);
    assert.throws(() => fileBuffer(64, `${folder.path}/none`), {
      code: 'IO_FAILED',
      message: /^cannot keep 64 B in a file of \S+none: ENOENT: no such file or directory/,
    });
  });
});
