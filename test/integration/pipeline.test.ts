import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

describe('examples/pipeline', () => {
  it('is a program that finds the best answer and ends by itself', async () => {
    const program = fileURLToPath(new URL('../../examples/pipeline.ts', import.meta.url));
    const model = fileURLToPath(new URL('../golden/micro-vl', import.meta.url));
    const argv = ['--conditions=cxmind-source', program, model];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, argv, {
      timeout: 60_000,
    });
    assert.equal(stdout, '<think>Which option is it? It looks like C.</think><answer>C</answer>\n');
    assert.equal(stderr, '');
  });
});
