import assert from 'node:assert/strict';
import { toolCallFormats } from '../../../src/environment/tool-calls.ts';
import { truncated } from '../../../src/environment/tool-response.ts';

describe('toolCallFormats', () => {
  const { hermes } = toolCallFormats;

  it('reads every call of a turn, whatever stands around them', () => {
    const text =
      'Look.<tool_call>\n{"name": "crop", "arguments": {"box": [0, 1]}}\n</tool_call> and ' +
      '<tool_call>{"arguments": {}, "name": "end"}</tool_call>.';
    assert.deepEqual(hermes(text), [
      { name: 'crop', arguments: { box: [0, 1] } },
      { name: 'end', arguments: {} },
    ]);
  });

  it('finds none in other text, and in a call that does not end', () => {
    assert.deepEqual(hermes('{"name": "crop", "arguments": {}}'), []);
    assert.deepEqual(hermes('<tool_call>{"name": "crop", "arguments": {}}'), []);
  });

  it('says what is wrong with a call', () => {
    const broken = ['crop(1)', '[]', '{"name": 1, "arguments": {}}', '{"name": "crop"}'];
    const wrong = 'the call is not {"name": …, "arguments": {…}}';
    assert.deepEqual(
      broken.map((json) => hermes(`<tool_call>${json}</tool_call>`)),
      [[{ problem: 'the call is not JSON' }], ...[1, 2, 3].map(() => [{ problem: wrong }])],
    );
  });
});

describe('truncated', () => {
  const message = { role: 'tool', content: '0123456789' } as const;

  // As in verl's tool agent: text[:5], text[-5:], text[:5 // 2] and text[-(5 // 2):], with its marks.
  it('keeps the side that is named, as in verl', () => {
    const contents = (['left', 'right', 'middle'] as const).map(
      (side) => truncated(message, 5, side).content,
    );
    assert.deepEqual(contents, [
      '01234...(truncated)',
      '(truncated)...56789',
      '01...(truncated)...89',
    ]);
    assert.equal(truncated(message, 1, 'middle').content, '...(truncated)...');
  });

  it('leaves short texts, words of a user and pictures as they are', () => {
    assert.deepEqual(truncated(message, 10, 'left'), message);
    assert.deepEqual(truncated({ ...message, role: 'user' }, 5, 'left').content, '0123456789');
    const image = { type: 'image', image: 'a.png' } as const;
    const parts = { role: 'tool', content: [image, { type: 'text', text: 'abcdef' }] } as const;
    assert.deepEqual(truncated(parts, 2, 'left').content, [
      image,
      { type: 'text', text: 'ab...(truncated)' },
    ]);
  });
});
