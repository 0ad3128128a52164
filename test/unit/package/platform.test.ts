import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { linkSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bytesIn, foreignFolders } from '../../../bin/package/platform.js';
import { packageRoot } from '../../../src/cli/package-root.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('what packages bring for other platforms', () => {
  it('is found beside what this one needs', () => {
    using modules = new TemporaryDirectory();
    for (const file of [
      'onnxruntime-node/bin/napi-v6/linux/x64/lib.so',
      'onnxruntime-node/bin/napi-v6/linux/arm64/lib.so',
      'onnxruntime-node/bin/napi-v6/win32/x64/lib.dll',
      'zeromq/build/manifest.json',
      'zeromq/build/darwin/arm64/addon.node',
      'zeromq/build/linux/x64/addon.node',
    ]) {
      mkdirSync(dirname(join(modules.path, file)), { recursive: true });
      modules.write(file, '1234');
    }
    const others = (platform: string, arch: string): string[] =>
      foreignFolders(modules.path, { platform, arch }).sort();
    assert.deepEqual(others('linux', 'x64'), [
      'onnxruntime-node/bin/napi-v6/linux/arm64',
      'onnxruntime-node/bin/napi-v6/win32',
      'zeromq/build/darwin',
    ]);
    assert.deepEqual(others('darwin', 'arm64'), [
      'onnxruntime-node/bin/napi-v6/linux',
      'onnxruntime-node/bin/napi-v6/win32',
      'zeromq/build/linux',
    ]);
    assert.equal(bytesIn(join(modules.path, 'onnxruntime-node')), 12);
    linkSync(join(modules.path, 'zeromq/build/manifest.json'), join(modules.path, 'zeromq/again'));
    assert.equal(bytesIn(join(modules.path, 'zeromq')), 12);
    assert.equal(bytesIn(join(modules.path, 'none')), 0);
  });

  it('is told after an installation, by size', () => {
    const sizes = join(packageRoot(), 'bin/package/sizes.js');
    const { status, stdout } = spawnSync(process.execPath, [sizes], { encoding: 'utf8' });
    assert.equal(status, 0);
    assert.match(stdout, /^cxmind: ONNX Runtime \d+ MB, .*Node \d+ MB/m);
  });
});
