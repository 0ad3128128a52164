import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ThreadScorer } from '../../../actors/reward/thread-scorer.ts';
import type { Outcome } from '../../../src/reward/outcome.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { keepingLogger } from '../../support/tiny-run.ts';

const never = new AbortController().signal;
const input = { response: 'a', responseLength: 1, groundTruth: 'a' };

describe('a JavaScript reward', () => {
  let folder: TemporaryDirectory;
  before(() => (folder = new TemporaryDirectory()));
  after(() => folder[Symbol.dispose]());

  function scorerOf(source: string, name = `${String(Math.random()).slice(2)}.mjs`) {
    const file = folder.write(name, source);
    const { logger, events } = keepingLogger();
    const props = { source: { file, name: 'score' }, kwargs: {}, rewardType: 'batch' } as const;
    const scorer = new ThreadScorer(props, logger);
    const score = (limitMs = 20_000): Promise<Outcome[]> => scorer.score([input], limitMs, never);
    const told = (): unknown[] => events.map(({ fields }) => fields);
    return { scorer, score, told };
  }

  it('has all it prints logged, before, after and beside its calls', async () => {
    const { scorer, score, told } = scorerOf(`
      console.log('loaded\\nwhole');
      console.log('x'.repeat(1e6));
      process.on('exit', () => console.log('at exit'));
      export async function score() {
        setTimeout(() => console.error('beside'), 1);
        await new Promise((resolve) => setTimeout(resolve, 20));
        return [{ overall: 1 }];
      }`);
    {
      await using _ = scorer;
      assert.deepEqual(await score(), [{ parts: { overall: 1 } }]);
    }
    assert.deepEqual(told(), [
      { line: 'loaded' },
      { line: 'whole' },
      { line: `${'x'.repeat(2000)}…` },
      { line: 'beside' },
      { line: 'at exit' },
    ]);
  });

  it('that throws between two calls is logged, and started again by the next', async () => {
    const { scorer, score, told } = scorerOf(`
      export function score() {
        setTimeout(() => { throw new Error('beside'); }, 5);
        return [{ overall: 1 }];
      }`);
    await using _ = scorer;
    await score();
    while (told().length === 0) await setTimeout(5);
    const [{ why }] = told() as [{ why: string }];
    assert.match(why, /:score: its thread ended: beside$/);
    assert.deepEqual(await score(), [{ parts: { overall: 1 } }]);
  });

  it('is an ES module by its text, whatever the package.json around it says', async () => {
    const chained = (extension: string): string =>
      `import { one } from './one.${extension}';\nexport const score = () => [{ overall: one }];`;
    const typed = (source: string): string => source.replace('()', '(_inputs: unknown[])');
    const required =
      `const { overall } = { overall: 1 };\nconst path = require('node:path');\n` +
      'module.exports = { score: () => [{ overall }] };';
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
        const source = chained(extension);
        folder.write(`${place}/one.${extension}`, 'export const one = 1;');
        files[`d.${extension}`] = extension.endsWith('ts') ? typed(source) : source;
      }
      for (const [name, source] of Object.entries(files)) {
        const { scorer, score, told } = scorerOf(source, `${place}/${name}`);
        await using _ = scorer;
        assert.deepEqual(await score(), [{ parts: { overall: 1 } }], `${place}/${name}`);
        assert.deepEqual(told(), [], `${place}/${name}`);
      }
    }
  });
});
