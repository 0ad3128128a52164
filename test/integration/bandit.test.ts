import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

describe('examples/bandit', () => {
  it('is a program that learns which arm pays and ends by itself: no thread or handle outlives its system', async () => {
    const program = fileURLToPath(new URL('../../examples/bandit.ts', import.meta.url));
    const argv = ['--conditions=cxmind-source', program];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, argv, {
      timeout: 60_000,
    });
    const policy = JSON.parse(stdout) as number[];
    assert.ok(policy[1]! > 0.9, `arm 1 has probability ${policy[1]!}`);
    assert.ok(Math.abs(policy.reduce((sum, p) => sum + p) - 1) < 1e-9);
    assert.equal(stderr, '');
  });
});
