import assert from 'node:assert/strict';
import { exactMatch, scoreAnswer, wordVerdict } from '../../../src/evaluation/score.ts';
import { passAtK, summarize, type ScoredAnswer } from '../../../src/evaluation/summary.ts';
import { optionOf, stepsOf, taskOf, type Task } from '../../../src/evaluation/task.ts';
import { bleu, plainText, rougeN, wordJaccard } from '../../../src/evaluation/text.ts';
import { bleuTokens } from '../../../src/reward/text-metrics.ts';
import { assertClose } from '../../support/assert-close.ts';

const step = (think: string, answer: string): string =>
  `<think>${think}</think><answer>${answer}</answer>`;
const closedGold = step('Heart size is normal.', 'A ❌') + step('An opacity.', 'B ✅');
const openGold =
  step('List.', 'Edema, Pneumonia') + step('Yes.', 'Edema ✅') + step('Sum.', 'Edema');

describe('the option that a text comes to', () => {
  it('is that of its last pair, its last answer, its last box, or its beginning', () => {
    assert.equal(optionOf(closedGold), 'B');
    assert.equal(optionOf('<answer>A</answer> no, <answer>(c) Effusion</answer>'), 'C');
    assert.equal(optionOf('so \\boxed{A} rather \\boxed{D}'), 'D');
    assert.equal(optionOf('B. Pneumonia'), 'B');
    assert.equal(optionOf('The answer is B'), '');
  });

  it('tells closed questions from open ones', () => {
    assert.equal(taskOf([closedGold, 'B', 'C. Edema']), 'closed');
    assert.equal(taskOf([closedGold, openGold]), 'open');
  });
});

describe('the steps of an answer', () => {
  it('are right where they affirm what is true and reject what is not', () => {
    const response =
      step('a', 'A ✅') +
      step('b', 'C ❌') +
      step('c', 'B ❌') +
      step('d', 'B') +
      step('e', 'B ✅');
    assert.deepEqual(
      stepsOf('closed', response, closedGold).map(({ claim, isRight }) => [claim, isRight]),
      [
        [true, false],
        [false, true],
        [false, false],
        [null, null],
        [true, true],
      ],
    );
    const open = step('a', 'Edema ✅') + step('b', 'Pneumonia ✅') + step('c', 'Nodule ❌');
    assert.deepEqual(
      stepsOf('open', open, openGold).map(({ isRight }) => isRight),
      [true, false, true],
    );
  });
});

describe('the released scripts’ verdicts', () => {
  it('compare whole texts but for space and case', () => {
    assert.equal(exactMatch('  b ✅\n', 'B ✅'), 1);
    // What str.strip() of Python strips, and the byte order mark, which it does not.
    assert.equal(exactMatch('\x1c\x1d\x1e\x1f\x85\u00a0\u2003b\u3000\v\f', 'B'), 1);
    assert.equal(exactMatch('\ufeffb', 'B'), 0);
    assert.equal(exactMatch(closedGold, 'B ✅'), 0);
    assert.equal(exactMatch(null, ''), 0);
  });

  it('take open answers for correct above a Jaccard index of 0.7', () => {
    // By Python's `re.findall(r"\w+", text.lower())`.
    assertClose(
      [wordJaccard('Edema, Pleural_effusion; naïve café', 'edema and naïve cafe')],
      [1 / 3],
      {
        rtol: 1e-15,
        atol: 0,
      },
    );
    assert.equal(wordJaccard('肺炎 A1', '肺炎'), 0.5);
    assert.equal(wordJaccard('', 'edema'), 0);
    assert.deepEqual(wordVerdict('a b c', 'a b c d'), { correct: 1, jaccard: 0.75 });
    assert.equal(wordVerdict('a b', 'a b c').correct, 0);
  });
});

describe('BLEU and ROUGE', () => {
  it('are those of nltk and of the definition', () => {
    // nltk 3.10.3, sentence_bleu with weights (1,) and its default.
    const cases: [string, string, number, number][] = [
      [
        'the heart is enlarged and the lungs are clear.',
        'the heart is enlarged. the lungs are clear.',
        0.9,
        0.6580370065,
      ],
      [
        'there is a large left pleural effusion with atelectasis',
        'there is a left pleural effusion with adjacent atelectasis in the lower lobe',
        0.569938123,
        0.2861739481,
      ],
      ['a b c d', 'a b c d', 1, 1],
    ];
    for (const [text, reference, one, four] of cases) {
      const [a, b] = [bleuTokens(text, 'runs'), bleuTokens(reference, 'runs')];
      assertClose([bleu(a, b, 1), bleu(a, b, 4)], [one, four], { rtol: 1e-9, atol: 0 });
    }
    // 3 of 4 and 5 words, 2 of 3 and 4 pairs.
    const [a, b] = ['w x y z', 'w x y v u'].map((text) => text.split(' '));
    assertClose([rougeN(a!, b!, 1), rougeN(a!, b!, 2)], [6 / 9, 4 / 7], { rtol: 1e-15, atol: 0 });
    assert.equal(rougeN([], b!, 1), 0);
  });

  it('see neither tags nor marks', () => {
    assert.equal(plainText('<think>a</think><ANSWER>B ✅</ANSWER>'), 'a  B');
  });
});

describe('passAtK', () => {
  it('is the share of all draws of k that hold a right answer', () => {
    // Counted over itertools.combinations.
    const cases = [
      [5, 2, 1, 0.4],
      [5, 2, 3, 0.9],
      [8, 1, 4, 0.5],
      [8, 6, 2, 0.9642857142857143],
      [4, 0, 2, 0],
      [4, 4, 1, 1],
    ] as const;
    for (const [n, right, k, chance] of cases) {
      assertClose([passAtK(n, right, k)], [chance], { rtol: 1e-14, atol: 1e-14 });
    }
  });

  it('is the share of right answers for k = 1', () => {
    for (let right = 0; right <= 7; right++) {
      assertClose([passAtK(7, right, 1)], [right / 7], { rtol: 1e-14, atol: 1e-14 });
    }
  });
});

describe('a summary', () => {
  const answered = (
    task: Task,
    given: readonly (readonly [
      question: number,
      file: string,
      predict: string | null,
      gold: string,
    ])[],
  ): ScoredAnswer[] =>
    given.map(([question, file, predict, gold]) => ({
      question,
      file,
      score: scoreAnswer(task, predict, gold),
    }));

  it('of closed questions has accuracy by option and file, steps and pass@k', () => {
    const summary = summarize(
      'closed',
      answered('closed', [
        [0, 'a.jsonl', closedGold, closedGold],
        [0, 'a.jsonl', step('x', 'B ✅'), closedGold],
        [1, 'b.jsonl', step('x', 'A ❌') + step('y', 'B ✅'), 'C'],
        [1, 'b.jsonl', null, 'C'],
      ]),
      [1, 2, 4],
    );
    assert.equal(summary.questions, 2);
    assert.equal(summary.answers, 4);
    assert.equal(summary.accuracy, 0.5);
    assert.equal(summary.correct, 0.25);
    assert.equal(summary.jaccard, null);
    assert.equal(summary.format, 0.75);
    assert.equal(summary.process_accuracy, 4 / 5);
    assert.equal(summary.process_whole, 0.5);
    assert.deepEqual(summary.pass_at, { 1: 0.5, 2: 0.5 });
    assert.deepEqual(summary.options, {
      B: { answers: 2, right: 2, accuracy: 1 },
      C: { answers: 2, right: 0, accuracy: 0 },
    });
    assert.deepEqual(Object.keys(summary.files), ['a.jsonl', 'b.jsonl']);
  });

  it('of open questions has micro and macro F1', () => {
    const summary = summarize(
      'open',
      answered('open', [
        [0, 'a', step('x', 'Edema, Nodule'), step('', 'edema')],
        [1, 'a', step('x', 'Edema'), step('', 'Edema; Pneumonia\nNodule')],
        [2, 'a', null, step('', 'Mass')],
      ]),
      [1],
    );
    // F1 2/3, 1/2 and 0; 2 hits, 3 named, 5 wanted.
    assertClose([summary.f1_macro], [7 / 18], { rtol: 1e-14, atol: 0 });
    assertClose(
      [summary.f1_micro, summary.precision_micro, summary.recall_micro],
      [4 / 8, 2 / 3, 2 / 5],
      { rtol: 1e-14, atol: 0 },
    );
    assert.equal(summary.accuracy, 0);
    assert.deepEqual(summary.options, {});
  });
});
