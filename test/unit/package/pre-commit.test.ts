import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../../src/cli/package-root.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('the hook before a commit', () => {
  let repository: TemporaryDirectory;

  function git(...args: readonly string[]): {
    readonly status: number | null;
    readonly said: string;
  } {
    const who = ['-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'core.hooksPath=.github/hooks'];
    const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' };
    const { status, stdout, stderr } = spawnSync('git', [...who, ...args], {
      cwd: repository.path,
      encoding: 'utf8',
      env,
    });
    return { status, said: stdout + stderr };
  }

  /** Stages a file and commits it. */
  function commit(name: string, text: string): ReturnType<typeof git> {
    repository.write(name, text);
    git('add', name);
    return git('commit', '-m', name);
  }

  before(() => {
    repository = new TemporaryDirectory();
    git('init', '-q');
    repository.write('.gitignore', 'node_modules\n.github\n*.json\n');
    const strict = {
      strict: true,
      noEmit: true,
      types: [],
      lib: ['es5'],
      erasableSyntaxOnly: true,
    };
    repository.write('tsconfig.json', JSON.stringify({ compilerOptions: strict }));
    repository.write('.oxlintrc.json', JSON.stringify({ rules: { 'no-debugger': 'error' } }));
    repository.write('package.json', '{ "type": "module" }');
    mkdirSync(join(repository.path, '.github/hooks'), { recursive: true });
    const hook = '.github/hooks/pre-commit';
    copyFileSync(join(packageRoot(), hook), join(repository.path, hook));
    symlinkSync(join(packageRoot(), 'node_modules'), join(repository.path, 'node_modules'));
  });
  after(() => repository[Symbol.dispose]());

  it('lets pass what is right', () => {
    const { status, said } = commit('right name.ts', 'export const a: number = 1;\n');
    assert.equal(status, 0, said);
  });

  it('refuses a layout, a lint and a type that are wrong', () => {
    const cases = {
      'layout.ts': ['export const b    = 1;\n', /layout\.ts/],
      'lint.js': ['debugger;\n', /no-debugger/],
      'type.ts': ['export const c: string = 1;\n', /TS2322/],
    } as const;
    for (const [name, [text, wanted]] of Object.entries(cases)) {
      const { status, said } = commit(name, text);
      assert.equal(status, 1, said);
      assert.match(said, wanted);
      git('rm', '-q', '--cached', name);
      spawnSync('rm', [join(repository.path, name)]);
    }
  });
});
