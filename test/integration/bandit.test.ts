import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { learn } from '../../examples/bandit.ts';

describe('examples/bandit', () => {
  it('learns which arm pays', async () => {
    const policy = await learn(300);
    assert.ok(policy[1]! > 0.9, `arm 1 has probability ${policy[1]!}`);
    assert.ok(Math.abs(policy.reduce((sum, p) => sum + p) - 1) < 1e-9);
  });

  it('is a program that ends by itself: no thread or handle outlives its system', async () => {
    const program = fileURLToPath(new URL('../../examples/bandit.ts', import.meta.url));
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [program], {
      timeout: 30_000,
    });
    assert.match(stdout, /^\[/);
    assert.equal(stderr, '');
  });
});
