import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseYaml } from '../../../src/config/yaml.ts';

const origin = { file: 'x.yaml' };

describe('parseYaml', () => {
  const bombs: Readonly<Record<string, string>> = {
    'aliases that double at every key': Array.from({ length: 60 }, (_, i) =>
      i === 0 ? 'a0: &a0 [x]' : `a${i}: &a${i} [*a${i - 1}, *a${i - 1}]`,
    ).join('\n'),
    'merge keys that double': Array.from({ length: 60 }, (_, i) =>
      i === 0
        ? 'a0: &a0 {x: 1}'
        : `a${i}: &a${i} {<<: [*a${i - 1}, *a${i - 1}], y${i}: *a${i - 1}}`,
    ).join('\n'),
    'an alias of what it stands in': 'a: &a [*a]',
    'a merge key of itself': 'a: &a {<<: *a}',
    'an alias of nothing': 'a: *nobody',
    'lists in lists': '['.repeat(100_000),
    'whole lists in lists': `${'['.repeat(5000)}${']'.repeat(5000)}`,
    'mappings in mappings': Array.from({ length: 3000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
    'mappings as keys': `${'? '.repeat(5000)}a`,
    'quotes without an end': '"'.repeat(9_999),
    'more text than any config': ' '.repeat(1 << 23),
    'more values than any config': `[${'1,'.repeat(200_000)}]`,
  };
  for (const [what, text] of Object.entries(bombs)) {
    it(`refuses ${what} in one short line`, () => {
      const { value, issues } = parseYaml(text, origin);
      assert.equal(value, null);
      assert.equal(issues.length, 1);
      assert.ok(
        issues[0]!.expected.length < 200 && !issues[0]!.expected.includes('\n'),
        issues[0]!.expected,
      );
    });
  }

  it('takes any text without throwing, and plain data only out of it', () => {
    const parts = [
      ...Array.from('{}[]:,-&*!|>%@`#?"\' \n'),
      '<<',
      'a',
      '1',
      '!!binary',
      '!!set',
      '__proto__',
      '~',
      '\t',
      '---',
    ];
    const soup = fc
      .array(fc.constantFrom(...parts), { maxLength: 30 })
      .map((some) => some.join(''));
    fc.assert(
      fc.property(soup, (text) => {
        const { value, issues } = parseYaml(text, origin);
        if (issues.length > 0) assert.equal(value, null);
      }),
      { numRuns: 500 },
    );
  });

  it('follows aliases and merge keys that a person would write', () => {
    const text = 'base: &base {a: 1, b: [2]}\nother: {<<: *base, c: *base}';
    const { value, sources } = parseYaml(text, origin);
    const base = { a: 1, b: [2] };
    assert.deepEqual(value, { base, other: { ...base, c: base } });
    assert.equal(sources.get('other.c.b[0]'), 'x.yaml:1');
  });
});
