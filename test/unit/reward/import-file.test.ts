import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { importFile } from '../../../src/reward/import-file.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('importFile', () => {
  it('takes a file for an ES module by its text, whatever the package.json around it says', async () => {
    using folder = new TemporaryDirectory();
    const warnings: Error[] = [];
    const keep = (warning: Error): void => void warnings.push(warning);
    process.on('warning', keep);
    const script = (extension: string): string =>
      `/*\nexport of nothing\n*/\nimport { one } from './one.${extension}';\nexport const score = () => one;`;
    const required = `const one = 1;\nconst path = require('node:path');\nmodule.exports = { score: () => one };`;
    for (const [place, manifest] of [
      ['none', undefined],
      ['empty', '{}'],
      ['commonjs', '{"type": "commonjs"}'],
      ['module', '{"type": "module"}'],
    ] as const) {
      mkdirSync(join(folder.path, place));
      if (manifest !== undefined) folder.write(`${place}/package.json`, manifest);
      const files: Record<string, string> = { 'a.cjs': required, 'b.cts': required };
      if (place !== 'module') files['c.js'] = required;
      for (const extension of ['ts', 'mts', 'cts', 'js', 'mjs', 'cjs']) {
        const isTyped = extension.endsWith('ts');
        folder.write(`${place}/one.${extension}`, 'export const one = 1;');
        files[`d.${extension}`] = script(extension).replace('()', isTyped ? '(): number' : '()');
      }
      for (const [name, source] of Object.entries(files)) {
        const { score } = await importFile(folder.write(`${place}/${name}`, source));
        assert.equal((score as () => number)(), 1, `${place}/${name}`);
      }
    }
    await setImmediate();
    process.off('warning', keep);
    assert.deepEqual(warnings, []);
  });
});
