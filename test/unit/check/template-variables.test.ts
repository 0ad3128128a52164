import assert from 'node:assert/strict';
import { isLeft, isRight } from 'fp-ts/lib/Either.js';
import { formatIssue, issuesOf } from '../../../src/check/issues.ts';
import { YamlFloat } from '../../../src/check/scalars.ts';
import { templateVariables } from '../../../src/check/template-variables.ts';

function issues(input: unknown): string[] {
  const decoded = templateVariables.decode(input);
  return isLeft(decoded) ? issuesOf(templateVariables, decoded.left).map(formatIssue) : [];
}

function nested(levels: number): unknown {
  return levels === 0 ? 1 : [nested(levels - 1)];
}

describe('templateVariables', () => {
  it('takes any JSON under names that the conversation does not have', () => {
    const given = {
      enable_thinking: false,
      effort: new YamlFloat('1.0'),
      list: ['a', { b: null }],
    };
    const decoded = templateVariables.decode(given);
    assert.ok(isRight(decoded));
    assert.deepEqual(decoded.right, { ...given, effort: 1 });
  });

  it('names each variable that is the conversation’s', () => {
    const expected =
      'expected another name than those of a conversation (messages, tools, documents, add_generation_prompt)';
    assert.deepEqual(issues({ tools: null, messages: [], thinking: true }), [
      `messages: ${expected}, got []`,
      `tools: ${expected}, got null`,
    ]);
  });

  it('bounds the characters and the levels', () => {
    const expected = 'expected a mapping of up to 16384 characters of JSON in up to 8 levels, got ';
    assert.deepEqual(issues({ a: 'x'.repeat(16_384 - '{"a":""}'.length) }), []);
    assert.deepEqual(issues({ a: 'x'.repeat(16_385 - '{"a":""}'.length) }), [
      `${expected}a mapping`,
    ]);
    assert.deepEqual(issues({ a: nested(7) }), []);
    assert.deepEqual(issues({ a: nested(8) }), [`${expected}a mapping`]);
    assert.deepEqual(issues({ a: nested(5_000) }), [`${expected}a mapping`]);
    assert.deepEqual(issues(['a']), [`${expected}["a"]`]);
  });
});
