/** The bundle on a machine that has neither network, home, npm nor Node; `npm run test:bundle` runs it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

const root = join(import.meta.dirname, '../..');

/** The words that run a command without network, where this user may take it away. */
const withoutNetwork =
  spawnSync('unshare', ['--net', 'true']).status === 0 ? ['unshare', '-n'] : [];

describe('a bundle', () => {
  let temporary: TemporaryDirectory;
  let folder: string;

  before(() => {
    temporary = new TemporaryDirectory();
    const made = spawnSync('npm', ['run', 'bundle'], { cwd: root, encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    const name = readdirSync(root).find((file) => /^cxmind-.*\.tgz$/.test(file))!;
    const archive = join(root, name);
    assert.equal(spawnSync('tar', ['-C', temporary.path, '-xzf', archive]).status, 0);
    spawnSync('rm', [archive]);
    folder = join(temporary.path, name.replace(/\.tgz$/, ''));
    for (const directory of ['home', 'work', 'programs'])
      mkdirSync(join(temporary.path, directory));
    // Programs of any machine, and no Node among them.
    for (const program of ['sh', 'dirname', 'readlink', 'ldd', 'getconf']) {
      const found = ['/usr/bin', '/bin'].map((place) => join(place, program)).find(existsSync);
      if (found !== undefined) symlinkSync(found, join(temporary.path, 'programs', program));
    }
  });
  after(() => temporary[Symbol.dispose]());

  function cxmind(...args: readonly string[]): string {
    const [program, ...rest] = [...withoutNetwork, join(folder, 'cxmind'), ...args];
    const { path } = temporary;
    const env = { HOME: join(path, 'home'), PATH: join(path, 'programs') };
    const options = { cwd: join(path, 'work'), env, encoding: 'utf8' } as const;
    const found = program === 'unshare' ? '/usr/bin/unshare' : program!;
    const { status, stdout, stderr } = spawnSync(found, rest, options);
    assert.equal(status, 0, `${args.join(' ')}\n${stdout}\n${stderr}`);
    return stdout;
  }

  it('finds its own ONNX Runtime, and nothing broken', () => {
    assert.match(cxmind('doctor'), /^ok +ONNX Runtime +computes on the processor$/m);
  });

  it('explains its server', () => {
    assert.match(cxmind('serve', '--help'), /--served-model-name/);
  });

  it('teaches the demo a step', () => {
    const items = ['trainer.max_steps=1', 'sft.max_steps=1', 'trainer.val_before_train=false'];
    assert.match(
      cxmind('quickstart', ...items),
      /^accuracy not measured before, .* after 1 steps/m,
    );
    assert.ok(existsSync(join(temporary.path, 'work/runs/quickstart/seed-1/summary.json')));
  });

  it('has nothing of other platforms, and nothing for development', () => {
    const libraries = join(folder, 'node_modules/onnxruntime-node/bin/napi-v6');
    assert.deepEqual(readdirSync(libraries), [process.platform]);
    assert.deepEqual(readdirSync(join(libraries, process.platform)), [process.arch]);
    for (const name of ['typescript', 'oxlint', 'mocha']) {
      assert.equal(existsSync(join(folder, 'node_modules', name)), false);
    }
  });
});
