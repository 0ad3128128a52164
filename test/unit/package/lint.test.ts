import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../../../src/cli/package-root.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

/** A file of 62 lines with three exports. */
const body = `import { join } from 'node:path';
export const a = join('a');
export const b = join('b');
export const c = join('c');
${'\n'.repeat(57)}`;

describe("the linter's own rules", () => {
  const directory = new TemporaryDirectory();
  after(() => directory[Symbol.dispose]());

  /** The names of the rules that a file breaks. */
  function broken(text: string): string[] {
    const config = {
      jsPlugins: [join(packageRoot(), 'test/lint/plugin.js')],
      categories: { correctness: 'off' },
      rules: { 'cxmind/header': 'error', 'cxmind/stands-alone': 'error' },
    };
    const rc = directory.write('.oxlintrc.json', JSON.stringify(config));
    const file = directory.write('file.ts', text);
    const oxlint = join(packageRoot(), 'node_modules/.bin/oxlint');
    const { stdout } = spawnSync(oxlint, ['-c', rc, '--format', 'json', file], {
      encoding: 'utf8',
    });
    const { diagnostics } = JSON.parse(stdout) as { diagnostics: readonly { code: string }[] };
    return diagnostics.map(({ code }) => code);
  }

  it('ask a file of several exports for a docstring before its imports', () => {
    assert.deepEqual(broken(body), ['cxmind(header)']);
    assert.deepEqual(broken(`/** Letters. */\n${body}`), []);
    assert.deepEqual(broken(body.replace("import { join } from 'node:path';", '/** Letter. */')), [
      'cxmind(header)',
    ]);
    assert.deepEqual(broken(body.replace('export const c', 'const c')), []);
  });

  it('refuse a docstring that begins with a word that leans on something else', () => {
    assert.deepEqual(broken('/** Of the two the larger. */\nexport const a = 1;\n'), [
      'cxmind(stands-alone)',
    ]);
    assert.deepEqual(broken('/** Those that are left. */\nexport const a = 1;\n'), [
      'cxmind(stands-alone)',
    ]);
    assert.deepEqual(broken('/** The larger of two. */\nexport const a = 1;\n'), []);
  });
});
