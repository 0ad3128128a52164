import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

describe('examples/look-closer', () => {
  it('is a program that warms a model up and trains it with an environment between its turns', async () => {
    using folder = new TemporaryDirectory();
    const program = fileURLToPath(new URL('../../examples/look-closer.ts', import.meta.url));
    const short = JSON.stringify({ rows: 16, warmUp: 2, steps: 1, prompts: 2, n: 2, local: true });
    const argv = ['--conditions=cxmind-source', program, folder.path, short];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, argv);
    assert.match(stdout, /^warm start 1: loss .*\nwarm start 2: loss .*\nstep 1: reward 0\.\d+\n$/);
    assert.equal(stderr, '');
    const line = readFileSync(join(folder.path, 'run/metrics.jsonl'), 'utf8').trim();
    const metrics = JSON.parse(line) as Record<string, number>;
    assert.ok('reward/looked' in metrics && metrics['num_turns/mean']! >= 1);
  });
});
