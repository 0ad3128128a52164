import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

/** Variables that keep ONNX Runtime from reporting without our doing. */
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
    const work = `import { Runtime } from ${JSON.stringify(runtime)}; new Runtime()[Symbol.dispose]();`;
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

describe('CXMIND_ONNXRUNTIME_LOG', () => {
  /** Output of the library while it opens and compiles, at a level. */
  function writtenAt(level: string): { status: number | null; stderr: string } {
    const runtime = new URL('../../../src/ort/runtime.ts', import.meta.url).href;
    const models = new URL('../../support/onnx-model.ts', import.meta.url).href;
    const program =
      `import { Runtime } from ${JSON.stringify(runtime)};` +
      `import { onnxModel } from ${JSON.stringify(models)};` +
      `const end = { x: ['f32', [2]] };` +
      `const graph = onnxModel(end, { y: ['f32', [2]] }, [{ op: 'Neg', inputs: ['x'], outputs: ['y'] }]);` +
      `using runtime = new Runtime({ threads: 1 });` +
      `using session = runtime.compile(graph, { name: 'said' });`;
    return spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      encoding: 'utf8',
      env: { ...process.env, CXMIND_ONNXRUNTIME_LOG: level },
    });
  }

  it('lets ONNX Runtime write to stderr, which otherwise stays empty', () => {
    const silent = writtenAt('');
    assert.equal(silent.status, 0);
    assert.equal(silent.stderr, '');
    const { status, stderr } = writtenAt('info');
    assert.equal(status, 0, stderr);
    assert.match(stderr, /\[I:onnxruntime:/);
  });

  it('refuses a level that does not exist', () => {
    assert.match(
      writtenAt('loud').stderr,
      /CXMIND_ONNXRUNTIME_LOG: expected verbose, info, warning, error, fatal, got 'loud'/,
    );
  });
});
