import assert from 'node:assert/strict';
import { reportPage } from '../../../src/evaluation/report.ts';
import { scoreAnswer } from '../../../src/evaluation/score.ts';
import { summarize } from '../../../src/evaluation/summary.ts';

const step = (think: string, answer: string): string =>
  `<think>${think}</think><answer>${answer}</answer>`;
const evil = `<script>alert(1)</script>"'&`;

function page(predict: string | null, gold: string, prompt = 'Which?'): string {
  const score = scoreAnswer('closed', predict, gold);
  return reportPage({
    summary: summarize('closed', [{ question: 0, file: evil, score }], [1]),
    model: `models/${evil}`,
    data: evil,
    questions: [
      {
        task: 'closed',
        number: 1,
        file: evil,
        prompt,
        gold,
        pictures: [Uint8Array.of(255, 216, 255), null],
        answers: [{ predict, score, tokens: 7 }],
      },
    ],
  });
}

describe('the report', () => {
  it('shows every step with whether it was judged rightly', () => {
    const text = page(step('Large heart.', 'A ✅') + step('Opacity.', 'B ✅'), 'B');
    assert.match(text, /<div class="step wrong"><p>Large heart\.<\/p>/);
    assert.match(text, /<div class="step right"><p>Opacity\.<\/p>/);
    assert.match(text, /<article class="right">/);
    assert.match(text, /1 of 2 steps right · well-formed · 7 tokens/);
    assert.match(text, /src="data:image\/jpeg;base64,\/9j\/"/);
    assert.match(text, /picture 2 cannot be read/);
  });

  it('shows an answer without steps as it is written, and a question that could not be asked', () => {
    assert.match(page('no idea', 'B'), /<pre>no idea<\/pre>/);
    assert.match(page(null, 'B'), /could not be asked/);
  });

  it('escapes whatever comes from outside, wherever it stands', () => {
    const text = page(step(evil, evil) + evil, `${step(evil, 'B')}${evil}`, evil);
    assert.doesNotMatch(text, /<script|alert\(1\)<\/script>/i);
    assert.ok(text.includes('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;'));
  });

  it('stands by itself: nothing is loaded and nothing runs', () => {
    const text = page(step('a', 'B ✅'), 'B');
    assert.doesNotMatch(text, /<script|<link|https?:|url\(|@import/);
    const [, source] = /src="([^"]*)"/.exec(text)!;
    assert.match(source!, /^data:/);
  });
});
