import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  anyOptionLetter,
  cleanTags,
  diseaseList,
  finalAnswerOf,
  formatChecks,
  leadingOptionLetter,
  pairsOf,
  setF1,
} from '../../../src/reward/grammar.ts';
import { splitSpace, trimSpace } from '../../../src/text/whitespace.ts';

const pieces = fc.array(
  fc.constantFrom('<think>', '</think>', '<answer>', '</answer>', ' ', '\n', 'x', '</THINK>', '/'),
  { maxLength: 14 },
);

describe('the grammar of chains', () => {
  it('finds the pairs that the lazy pattern finds', () => {
    const pattern = /<think>(.*?)<\/think>\s*<answer>(.*?)<\/answer>/gis;
    fc.assert(
      fc.property(pieces, (some) => {
        const text = some.join('');
        const wanted = [...text.matchAll(pattern)].map(([, think, answer]) => ({ think, answer }));
        assert.deepEqual(pairsOf(text), wanted);
      }),
      { numRuns: 2000 },
    );
  });

  it('accepts as raw what the lazy pattern of the whole text accepts', () => {
    const pattern = /^(?:<think>.*?<\/think>\s*<answer>.*?<\/answer>\s*)+$/s;
    fc.assert(
      fc.property(pieces, (some) => {
        const text = `<think>${some.join('')}</answer>`;
        assert.equal(formatChecks.raw(text), pattern.test(text), text);
      }),
      { numRuns: 2000 },
    );
  });

  it('takes linear time over a degenerate response', () => {
    const text = '<think></think><answer>'.repeat(20000) + ' '.repeat(100000) + 'x';
    const start = performance.now();
    assert.deepEqual(pairsOf(text), []);
    for (const check of Object.values(formatChecks)) assert.equal(check(text), false);
    assert.ok(performance.now() - start < 2000);
  });

  it('lets a thought run on over a closing tag that no answer follows', () => {
    assert.deepEqual(pairsOf('<think>a</think> b</think>\n<answer>c</answer>'), [
      { think: 'a</think> b', answer: 'c' },
    ]);
  });

  it('accepts strictly only pairs and white space, and nothing inside a block but text', () => {
    const pair = '<think>a</think> <answer>b</answer>';
    assert.ok(formatChecks.strict(`\n${pair}\n\n${pair} `));
    for (const wrong of [
      '',
      'a',
      `${pair}x`,
      `x${pair}`,
      `${pair}x${pair}`,
      pair.replace('a', 'a<think>'),
      pair.replace('b', '<answer>b'),
      pair.replace('think', 'THINK'),
    ]) {
      assert.equal(formatChecks.strict(wrong), false, wrong);
    }
  });

  it('reads an option anywhere, or only at the beginning', () => {
    for (const [answer, anywhere, leading] of [
      ['B ✅', 'B', 'B'],
      ['✅ b', 'B', 'B'],
      ['(C) Effusion', 'C', 'C'],
      ['Option D.', 'D', 'D'],
      ['The answer is B', 'E', ''],
      ['Pneumonia', 'E', ''],
      ['Edema', 'E', ''],
      ['No', '', ''],
      ['', '', ''],
    ] as const) {
      assert.equal(anyOptionLetter(answer, 'G'), anywhere, answer);
      assert.equal(leadingOptionLetter(answer), leading, answer);
    }
    assert.equal(anyOptionLetter('Pneumonia', 'D'), 'A');
    assert.equal(leadingOptionLetter('H'), '');
  });

  it('takes the last answer, in lower-case tags only', () => {
    assert.equal(finalAnswerOf('<answer>a</answer><answer>b\n</answer><ANSWER>c</ANSWER>'), 'b\n');
    assert.equal(finalAnswerOf('<answer>a'), '');
  });

  it('deletes white space beside tag characters and nowhere else', () => {
    assert.equal(cleanTags(' < think > a  b / c < / think > '), '<think>a  b/c</think>');
  });

  it('splits and compares lists as sets', () => {
    assert.deepEqual(diseaseList(' Edema ,; \nNo Finding\n'), ['edema', 'no finding']);
    assert.equal(setF1([], []), 1);
    assert.equal(setF1(['a'], []), 0);
    assert.equal(setF1(['a', 'a', 'b'], ['a', 'c']), 0.5);
  });

  it('has the reference language’s white space', () => {
    assert.equal(trimSpace('\x1c\x85 \u3000a\ufeff\t'), 'a\ufeff');
    assert.deepEqual(splitSpace('\u2003a\x1f\n b '), ['a', 'b']);
  });
});
