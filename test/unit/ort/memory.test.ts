import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/**
 * Most bytes a cycle may leave. Not releasing one object leaves: a value 340, a binding 750, a shape 80, a session
 * 60,000. Without a leak a cycle leaves 0 to 20.
 */
const bounds = { bind: 66, rebind: 66, run: 66, compile: 5000, refuse: 5000 };

describe('native memory', () => {
  let left: Record<string, number>;

  before(async function () {
    // The program asks glibc's allocator.
    if (process.platform !== 'linux') this.skip();
    const program = fileURLToPath(new URL('../../support/ort-cycles.ts', import.meta.url));
    const flags = ['--expose-gc', '--max-semi-space-size=1'];
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, program]);
    left = JSON.parse(stdout) as Record<string, number>;
  });

  for (const [cycle, most] of Object.entries(bounds)) {
    it(`comes back after thousands of cycles of ${cycle}`, () => {
      assert.ok(left[cycle]! <= most, `a cycle of ${cycle} leaves ${left[cycle]} bytes`);
    });
  }
});
