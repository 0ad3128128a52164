import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

/** What keeps ONNX Runtime from reporting without our doing. */
const others = ['CI', 'GITHUB_ACTIONS', 'TF_BUILD', 'ORT_RUNNING_UNIT_TESTS'];

describe('ONNX Runtime', () => {
  it('reports to nobody: no device id, no queue of events, even when a worker loads it', () => {
    using home = new TemporaryDirectory();
    const temporary = join(home.path, 'tmp');
    mkdirSync(temporary);
    const environment = Object.entries(process.env).filter(
      ([name]) => !others.includes(name) && !name.startsWith('XDG_') && !name.startsWith('ORT_'),
    );
    const runtime = new URL('../../../src/ort/runtime.ts', import.meta.url).href;
    const work = `import { Runtime } from ${JSON.stringify(runtime)}; Runtime.open()[Symbol.dispose]();`;
    const program =
      `import { Worker } from 'node:worker_threads';` +
      `new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(work)})));`;
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', program],
      {
        encoding: 'utf8',
        env: { ...Object.fromEntries(environment), HOME: home.path, TMPDIR: temporary },
      },
    );
    assert.equal(status, 0, stderr);
    const left = readdirSync(home.path, { recursive: true }).map(String);
    assert.deepEqual(left, ['tmp']);
  });
});
