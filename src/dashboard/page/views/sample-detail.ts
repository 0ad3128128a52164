/** A sample in full: pictures, prompt, response with its judged steps, reference and rewards. */
import type { ReasoningStep, SampleDetail, SampleKind } from '../../api-samples.ts';
import { apiPath } from '../client.ts';
import { div, element, soft, span, type Content } from '../dom.ts';
import { countText, numberText } from '../format.ts';
import { plainText, visibleText } from '../visible-text.ts';

/** Run and kind that a sample belongs to. */
export interface SampleSource {
  readonly run: string;
  readonly kind: SampleKind;
}

/** A sample with its pictures and its prompt. */
export function sampleArticle(sample: SampleDetail, source: SampleSource): HTMLElement {
  return element(
    'article',
    { className: 'sample' },
    sampleHeading(sample),
    pictures(sample, source),
    part('Prompt', textBlock(sample.prompt)),
    responseParts(sample),
    part('Reference', referenceOf(sample)),
  );
}

/** A sample among several of one prompt, without the prompt, pictures and reference that they share. */
export function sampleColumn(sample: SampleDetail): HTMLElement {
  return element(
    'article',
    { className: 'sample column' },
    sampleHeading(sample),
    responseParts(sample),
  );
}

/** Pictures of a sample, each as a link to its full size. */
export function pictures(sample: SampleDetail, { run, kind }: SampleSource): Content {
  const { step, row, pictures: count } = sample;
  if (count === 0) return null;
  const images = Array.from({ length: count }, (_, picture) => {
    const src = apiPath(`runs/${run}/samples/picture`, { kind, step, row, picture });
    const image = element('img', {
      alt: `Picture ${picture + 1} of ${count}`,
      src,
      loading: 'lazy',
    });
    image.addEventListener('error', () => {
      const missing = element(
        'p',
        { className: 'empty' },
        `Picture ${picture + 1} cannot be read.`,
      );
      (image.parentElement ?? image).replaceWith(missing);
    });
    return element('a', { href: src, target: '_blank', rel: 'noreferrer' }, image);
  });
  return div('pictures', images);
}

/** Text of a run, with its line feeds. */
export function textBlock(text: string): HTMLElement {
  return element('div', { className: 'text', dir: 'auto' }, visibleText(text));
}

/** Mark of a verdict, right, wrong or open, by a word and a colour. */
function verdictMark(
  isRight: boolean | null,
  words: readonly [right: string, wrong: string],
): Content {
  if (isRight === null) return null;
  return span(
    `verdict ${isRight ? 'right' : 'wrong'}`,
    isRight ? `✓ ${words[0]}` : `✗ ${words[1]}`,
  );
}

function sampleHeading({
  step,
  sample,
  score,
  isRight,
  tokens,
  finishReason,
  policyVersion,
}: SampleDetail): HTMLElement {
  const facts = [
    ...(tokens === null ? [] : [`${countText(tokens)} tokens`]),
    ...(finishReason === 'length' ? ['cut off at the limit'] : []),
    ...(finishReason === 'content_filter' ? ['ended by bad words'] : []),
    ...(policyVersion === null ? [] : [`policy version ${countText(policyVersion)}`]),
  ];
  return element(
    'header',
    {},
    element('h2', {}, `Step ${countText(step)}, response ${countText(sample + 1)}`),
    verdictMark(isRight, ['right', 'wrong']),
    score === null ? null : span('score', `score ${numberText(score)}`),
    soft(facts.join(' · ')),
  );
}

function responseParts(sample: SampleDetail): Content {
  const { parts, score } = sample;
  return [part('Rewards', rewardList(parts, score)), part('Response', responseOf(sample))];
}

/** A response: its turns if it has several, else its steps of reasoning, else its text. */
function responseOf({ turns, reasoning, output }: SampleDetail): Content {
  if (turns.length > 0) return element('ol', { className: 'turns' }, turns.map(turnElement));
  if (reasoning.length === 0) return textBlock(output);
  return [reasoning.map(stepElement), asWritten(output)];
}

/** A turn of a response. The turns are the policy's and its environment's in alternation, the policy's first. */
function turnElement(text: string, place: number): HTMLElement {
  const who = place % 2 === 0 ? 'policy' : 'environment';
  return element('li', { className: `turn ${who}` }, soft(who), textBlock(text));
}

function referenceOf({
  groundTruth,
  referenceReasoning,
  referenceConclusion,
}: SampleDetail): Content {
  if (referenceReasoning.length === 0) return textBlock(groundTruth);
  const conclusion = element(
    'p',
    {},
    element('strong', {}, visibleText(referenceConclusion.join(', '))),
  );
  const steps = element(
    'details',
    {},
    element('summary', {}, 'in steps'),
    referenceReasoning.map(stepElement),
  );
  return [referenceConclusion.length === 0 ? null : conclusion, steps, asWritten(groundTruth)];
}

/** A step of reasoning: its thought, its answer, and the verdict on its claim. */
function stepElement({ think, answer, claim, isRight }: ReasoningStep, place: number): HTMLElement {
  const kind = isRight === null ? 'open' : isRight ? 'right' : 'wrong';
  const claims = claim === null ? null : soft(claim ? 'affirms' : 'rejects');
  return div(
    `reasoning-step ${kind}`,
    element('span', { className: 'step-number', attributes: { 'aria-hidden': true } }, place + 1),
    element('div', { className: 'think', dir: 'auto' }, visibleText(think.trim())),
    element(
      'div',
      { className: 'answer', dir: 'auto' },
      visibleText(withPlainMarks(answer.trim())),
      claims,
      verdictMark(isRight, ['judged rightly', 'judged wrongly']),
    ),
  );
}

/** Replaces ticks and crosses by plain glyphs, which more fonts have than emoji. */
export function withPlainMarks(text: string): string {
  return text.replaceAll('\u2705', '✓').replaceAll('\u274c', '✗');
}

function asWritten(text: string): HTMLElement {
  return element('details', {}, element('summary', {}, 'as written'), textBlock(text));
}

/** Parts of a reward with their values, and the whole reward. */
function rewardList(parts: SampleDetail['parts'], score: number | null): HTMLElement {
  const pairs = Object.entries(parts).map(([name, value]) =>
    element(
      'div',
      { title: plainText(name) },
      element('dt', {}, visibleText(name)),
      element('dd', {}, numberText(value)),
    ),
  );
  const whole = div('total', element('dt', {}, 'overall'), element('dd', {}, numberText(score)));
  return element('dl', { className: 'rewards' }, pairs, whole);
}

function part(title: string, content: Content): HTMLElement {
  return element('section', {}, element('h3', {}, title), content);
}
