import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { schemaKeys } from '../../../src/config/codec.ts';
import { Config } from '../../../src/config/schema.ts';
import { effects } from './table.ts';

const tests = join(import.meta.dirname, '../..');
const keys = schemaKeys(Config).flatMap(({ path, isSection }) => (isSection ? [] : [path]));

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

/** Titles of a test file, those that are made of parts as a pattern with a group for each part. */
function titlesOf(source: string): RegExp[] {
  const calls = source.matchAll(/\bit\(\s*(?:'((?:[^'\\]|\\.)*)'|"([^"]*)"|`([^`]*)`)/g);
  return [...calls].map(([, single, double, template]) => {
    const text = (single ?? double ?? template!).replace(/\\(.)/g, '$1');
    const parts = template === undefined ? [text] : text.split(/\$\{[^}]*\}/);
    return new RegExp(`^${parts.map(literally).join('(.+)')}$`);
  });
}

/** Problem with `FILE › TITLE`, or undefined. */
function problemOf(test: string): string | undefined {
  const [file, title] = test.split(' › ');
  const path = join(tests, file!);
  if (title === undefined || !existsSync(path)) return `${test}: no such file`;
  const source = readFileSync(path, 'utf8');
  const found = titlesOf(source).flatMap((pattern) => {
    const match = pattern.exec(title);
    return match === null ? [] : [match.slice(1)];
  });
  if (found.length === 0) return `${test}: no such title`;
  // A part of a title stands in the file too, but for the role it may have of two.
  const isThere = (part: string): boolean =>
    source.includes(part) || source.includes(part.replace(/\b(actor|critic)\b/, '${role}'));
  return found.some((parts) => parts.every(isThere)) ? undefined : `${test}: no such case`;
}

describe('the table of effects', () => {
  it('has a test for every key, and no other keys', () => {
    assert.deepEqual(Object.keys(effects).sort(), [...keys].sort());
  });

  it('has one for every key of the reference', () => {
    const defaults = readFileSync(join(tests, 'unit/config/reference-defaults.yaml'), 'utf8');
    const reference = Object.keys(parse(defaults) as object);
    assert.ok(reference.length > 130);
    assert.deepEqual(
      reference.filter((key) => !(key in effects)),
      [],
    );
  });

  it('names tests that there are', () => {
    const problems = [...new Set(Object.values(effects).flat())].map(problemOf);
    assert.deepEqual(
      problems.filter((problem) => problem !== undefined),
      [],
    );
  });

  it('would notice a test that is gone', () => {
    const here = 'unit/effects/table.test.ts';
    assert.match(problemOf('unit/none.test.ts › has')!, /no such file/);
    assert.match(problemOf(`${here} › has nothing`)!, /no such title/);
    assert.match(problemOf('unit/effects/training.test.ts › changes them: a.b=1')!, /no such case/);
    assert.equal(problemOf(`${here} › names tests that there are`), undefined);
  });
});
