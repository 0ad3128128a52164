import assert from 'node:assert/strict';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { formatIssue, issuesOf } from '../../../src/check/issues.ts';
import { wholeFrom } from '../../../src/check/scalars.ts';

function issues(codec: t.Mixed, value: unknown): string[] {
  const decoded = codec.decode(value);
  return isLeft(decoded) ? issuesOf(codec, decoded.left).map(formatIssue) : [];
}

describe('issuesOf', () => {
  it('shows what JSON cannot write, and arrays of numbers by their size', () => {
    const big = { data: new BigInt64Array(1_000_000) };
    assert.deepEqual(issues(t.string, [big]), ['expected string, got [{"data":"8000000 bytes"}]']);
    assert.deepEqual(issues(t.string, 7n), ['expected string, got "7"']);
    assert.deepEqual(
      issues(t.string, () => 1),
      ['expected string, got function'],
    );
  });

  it('names a union of which no branch fits, once', () => {
    const codec = t.type({ a: t.array(t.union([t.string, t.type({ b: t.number })], 'text or b')) });
    assert.deepEqual(issues(codec, { a: ['x', 3] }), ['a[1]: expected text or b, got 3']);
    assert.deepEqual(issues(codec, { a: [{ b: 'x' }] }), [
      'a[0]: expected text or b, got a mapping',
    ]);
  });

  it('follows the branch that a tag chooses, and that which is not null', () => {
    const tagged = t.union([
      t.type({ kind: t.literal('one'), n: t.number }),
      t.type({ kind: t.literal('two'), n: t.string }),
    ]);
    assert.deepEqual(issues(tagged, { kind: 'two', n: 1 }), ['n: expected string, got 1']);
    const orNull = t.partial({ heads: t.union([wholeFrom(1), t.null]) });
    assert.deepEqual(issues(orNull, { heads: 0 }), ['heads: expected a whole number >= 1, got 0']);
  });

  it('has no numbers of the members of an intersection in its paths', () => {
    const codec = t.intersection([t.type({ a: t.string }), t.partial({ list: t.array(t.number) })]);
    assert.deepEqual(issues(codec, { list: [1, 'x'] }), [
      'a: expected string, got nothing',
      'list[1]: expected number, got "x"',
    ]);
  });

  it('shows long values by their beginning, and long lists by their length', () => {
    assert.deepEqual(issues(t.string, Array(500).fill(1)), ['expected string, got a list of 500']);
    assert.match(issues(t.number, 'x'.repeat(500))[0]!, /^expected number, got "x{76}\.\.\.$/);
  });
});
