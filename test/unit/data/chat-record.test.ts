import assert from 'node:assert/strict';
import { DEFAULT_KEYS, type DatasetRow } from '../../../src/data/row.ts';
import { decodeRow } from '../../../src/data/decode-row.ts';

const user = { role: 'user', content: 'Which?' };
const assistant = { role: 'assistant', content: 'B.' };

function rowOf(value: Readonly<Record<string, unknown>>, keys = DEFAULT_KEYS): DatasetRow {
  const place = { file: 'chats.jsonl', name: 'chats.jsonl', line: 3 };
  return decodeRow({ ...place, isText: false, value }, keys);
}

describe('a record of a conversation', () => {
  it('has everything before its last question as history', () => {
    const system = { role: 'system', content: ' Be brief. ' };
    const row = rowOf({
      messages: [system, user, assistant, { ...user, content: 'Why?\n' }, assistant],
    });
    assert.deepEqual(row.history, [system, user, assistant]);
    assert.deepEqual([row.prompt, row.answer], ['Why?', 'B.']);
  });

  it('takes its answer from the column when the user has the last word', () => {
    const row = rowOf({ messages: [user, assistant, user], answer: 'C' });
    assert.deepEqual([row.history.length, row.answer], [2, 'C']);
    assert.throws(() => rowOf({ messages: [user, assistant, user] }), /answer: missing/);
  });

  it('may stand where the prompt does', () => {
    const row = rowOf({ prompt: [user, assistant, user], answer: 'C' });
    assert.deepEqual([row.prompt, row.answer, row.history.length], ['Which?', 'C', 2]);
    assert.throws(
      () => rowOf({ prompt: ['x'], answer: 'C' }),
      /prompt\[0\]: expected \{role, content\}/,
    );
  });

  it('is asked its question where answers are not needed', () => {
    const keys = { ...DEFAULT_KEYS, answerKey: DEFAULT_KEYS.promptKey };
    assert.equal(rowOf({ messages: [user, assistant] }, keys).prompt, 'Which?');
  });

  it('has markers in front of the question for the images without one', () => {
    const earlier = { role: 'user', content: 'Look: <image>' };
    const messages = [earlier, assistant, { role: 'user', content: 'And <image>?' }, assistant];
    const { history, prompt } = rowOf({ messages, images: ['a.png', 'b.png', 'c.png'] });
    assert.equal(history[0]!.content, 'Look: <image>');
    assert.equal(prompt, '<image><image>And ?');
  });

  it('keeps the places of parts', () => {
    const parts = [
      { type: 'text', text: 'Is ', image: null },
      { type: 'image', text: null },
      { type: 'text', text: ' one?' },
    ];
    const messages = [
      { role: 'user', content: parts },
      { ...assistant, content: [parts[0]] },
    ];
    const { prompt, answer } = rowOf({ messages, images: ['a.png'] });
    assert.deepEqual([prompt, answer], ['Is <image> one?', 'Is']);
  });

  const refused: readonly [string, readonly unknown[], string][] = [
    [
      'another role',
      [{ role: 'tool', content: 'x' }, user, assistant],
      'messages[0].role: expected one of system, user, assistant, got "tool"',
    ],
    [
      'no question',
      [assistant],
      'messages: expected a turn of user before the answer, got nothing',
    ],
    ['no turns', [], 'messages: expected a turn of user at the end, got nothing'],
    [
      'two answers',
      [user, assistant, assistant],
      'messages: expected a turn of user before the answer, got one of assistant',
    ],
    ['a turn that is text', ['hi', assistant], 'messages[0]: expected {role, content}, got "hi"'],
    [
      'no content',
      [user, { role: 'assistant', content: null }],
      'messages[1].content: expected text or a list of parts, got null',
    ],
    [
      'calls of tools',
      [user, { ...assistant, tool_calls: [{}] }],
      'messages[1].tool_calls: calls of tools are not supported',
    ],
    [
      'an image inside a part',
      [{ role: 'user', content: [{ type: 'image', image: 'a.png' }] }, assistant],
      'messages[0].content[0].image: not read here; images and videos stand in columns of the row',
    ],
    [
      'another part',
      [{ role: 'user', content: [{ type: 'audio' }] }, assistant],
      'messages[0].content[0]: expected a part of type text, image or video, got a mapping',
    ],
  ];
  for (const [what, messages, message] of refused) {
    it(`is refused for ${what}`, () =>
      assert.throws(() => rowOf({ messages }), {
        code: 'DATA_INVALID',
        message: `chats.jsonl:3: ${message}`,
      }));
  }
});
