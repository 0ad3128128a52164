/** Report of an evaluation for people: an HTML page without scripts, which loads nothing. */
import { htmlEscape } from 'escape-goat';
import { stripMarks } from '../reward/grammar.ts';
import type { AnswerScore } from './score.ts';
import type { EvaluationSummary, Share } from './summary.ts';
import { conclusionOf, stepsOf, type Step, type Task } from './task.ts';
import { reportStyle } from './report-style.ts';

interface ReportAnswer {
  /** Null when the question could not be asked. */
  readonly predict: string | null;
  readonly score: AnswerScore;
  readonly tokens: number;
}

/** A question with its pictures and answers. */
export interface ReportQuestion {
  readonly task: Task;
  /** Number of the question, from 1. */
  readonly number: number;
  readonly file: string;
  readonly prompt: string;
  readonly gold: string;
  /** JPEG files; null for one that could not be read. */
  readonly pictures: readonly (Uint8Array | null)[];
  readonly answers: readonly ReportAnswer[];
}

/** Contents of a report: numbers, questions, and the names of the model and the data set. */
export interface Report {
  readonly summary: EvaluationSummary;
  readonly model: string;
  readonly data: string;
  readonly questions: readonly ReportQuestion[];
}

/** Markup, as opposed to text that is still to be escaped. */
class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Content = Html | string | number | readonly Content[];

/** Markup with text in it, which is escaped wherever it stands. */
function markup(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  const pieces = parts.map((part, i) => part + (i < values.length ? markupOf(values[i]!) : ''));
  return new Html(pieces.join(''));
}

function markupOf(content: Content): string {
  if (content instanceof Html) return content.text;
  if (typeof content === 'string' || typeof content === 'number')
    return htmlEscape(String(content));
  return content.map(markupOf).join('');
}

/** The report as an HTML page: the numbers, then each question with its pictures, its answers and their steps. */
export function reportPage({ summary, model, data, questions }: Report): string {
  const shown =
    questions.length < summary.questions
      ? markup`<p class="note">${questions.length} of ${summary.questions} questions, those with wrong answers first.</p>`
      : '';
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation of ${lastPart(model)}</title>
<style>${new Html(reportStyle)}</style>
</head>
<body>
<header>
<h1>Evaluation</h1>
<dl class="about"><dt>model</dt><dd>${model}</dd><dt>data</dt><dd>${data}</dd></dl>
</header>
<section class="cards">${cards(summary)}</section>
<section class="groups">${shares('By option', summary.options)}${shares('By file', summary.files)}</section>
<nav>
<label><input type="radio" name="show" id="show-all" checked> all</label>
<label><input type="radio" name="show" id="show-wrong"> wrong</label>
<label><input type="radio" name="show" id="show-right"> right</label>
</nav>
${shown}
<main>${questions.map(questionCard)}</main>
</body>
</html>
`.text;
}

/** Cards of the most important numbers. */
function cards(summary: EvaluationSummary): Html[] {
  const isOpen = summary.task === 'open';
  const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;
  const passes = Object.entries(summary.pass_at).filter(([k]) => k !== '1');
  const process = summary.process_accuracy;
  /** Names and values; null is not shown. */
  const numbers: (readonly [string, string | null, string?])[] = [
    [isOpen ? 'all findings right' : 'right option', percent(summary.accuracy), 'main'],
    ['F1 micro', isOpen ? summary.f1_micro.toFixed(3) : null],
    ['F1 macro', isOpen ? summary.f1_macro.toFixed(3) : null],
    ['steps judged rightly', process === null ? null : percent(process)],
    ['well-formed', percent(summary.format)],
    ...passes.map(([k, chance]) => [`pass@${k}`, percent(chance)] as const),
    ['ROUGE-L', summary.rouge_l.toFixed(3)],
    ['BLEU-4', summary.bleu_4.toFixed(3)],
    ['questions', String(summary.questions)],
    ['answers', String(summary.answers)],
  ];
  return numbers.flatMap(([name, value, kind = '']) =>
    value === null
      ? []
      : [markup`<div class="card ${kind}"><b>${value}</b><span>${name}</span></div>`],
  );
}

function shares(title: string, groups: Readonly<Record<string, Share>>): Html | string {
  const entries = Object.entries(groups);
  if (entries.length < 2) return '';
  const rows = entries.map(
    ([name, { answers, right, accuracy }]) =>
      markup`<tr><th>${name}</th><td class="bar"><i style="width:${(100 * accuracy).toFixed(1)}%"></i></td>
<td>${(100 * accuracy).toFixed(1)}%</td><td class="count">${right} of ${answers}</td></tr>`,
  );
  return markup`<div><h2>${title}</h2><table>${rows}</table></div>`;
}

function questionCard(question: ReportQuestion): Html {
  const { number, file, prompt, gold, pictures, answers, task } = question;
  const right = answers.filter(({ score }) => score.right === 1).length;
  const isRight = right === answers.length;
  const count =
    answers.length > 1 ? `${right} of ${answers.length} right` : isRight ? 'right' : 'wrong';
  const images = pictures.map((picture, i) =>
    picture === null
      ? markup`<div class="missing">picture ${i + 1} cannot be read</div>`
      : markup`<img alt="picture ${i + 1} of question ${number}" src="data:image/jpeg;base64,${Buffer.from(picture).toString('base64')}">`,
  );
  return markup`<article class="${isRight ? 'right' : right > 0 ? 'partly' : 'wrong'}">
<h3>Question ${number}<small>${file}</small><span class="verdict">${count}</span></h3>
<div class="columns">
<div class="asked">${images}<p class="prompt">${prompt.replaceAll('<image>', '').trim()}</p>
<p class="gold">Reference: <b>${stripMarks(conclusionOf(gold)).trim()}</b></p>${goldSteps(task, gold)}</div>
<div class="answers">${answers.map((answer, i) => answerCard(question, answer, i))}</div>
</div>
</article>
`;
}

/** The reference's own steps, where it has any. */
function goldSteps(task: Task, gold: string): Html | string {
  const steps = stepsOf(task, gold, gold);
  if (steps.length === 0) return '';
  return markup`<details><summary>reference in steps</summary>${steps.map(stepItem)}</details>`;
}

function answerCard(
  { task, gold, answers }: ReportQuestion,
  answer: ReportAnswer,
  i: number,
): Html {
  const { predict, score, tokens } = answer;
  const title = answers.length > 1 ? `Answer ${i + 1}` : 'Answer';
  if (predict === null) {
    return markup`<details class="wrong" open><summary>${title}<em>could not be asked</em></summary></details>`;
  }
  const steps = stepsOf(task, predict, gold);
  const text = markup`<pre>${predict}</pre>`;
  const body =
    steps.length === 0
      ? text
      : markup`${steps.map(stepItem)}<details class="raw"><summary>as written</summary>${text}</details>`;
  const said = score.answer.join(', ');
  return markup`<details class="${score.right === 1 ? 'right' : 'wrong'}"${i === 0 ? ' open' : ''}>
<summary>${title}<b>${said === '' ? 'comes to nothing' : said}</b><em>${facts(task, score, tokens)}</em></summary>
${body}</details>`;
}

/** Facts about an answer in few words. */
function facts(task: Task, score: AnswerScore, tokens: number): string {
  return [
    ...(task === 'open' ? [`F1 ${score.f1.toFixed(2)}`] : []),
    ...(score.steps > 0 ? [`${score.rightSteps} of ${score.steps} steps right`] : []),
    score.format === 1 ? 'well-formed' : 'malformed',
    `${tokens} tokens`,
  ].join(' · ');
}

function stepItem({ think, answer, claim, isRight }: Step): Html {
  const kind = isRight === null ? 'open' : isRight ? 'right' : 'wrong';
  const word = isRight === null ? '' : isRight ? 'judged rightly' : 'judged wrongly';
  // Fonts have these plain glyphs more often than emoji.
  const mark = claim === null ? '' : claim ? ' \u2713' : ' \u2717';
  return markup`<div class="step ${kind}"><p>${think.trim()}</p>
<div><span class="chip">${stripMarks(answer).trim()}${mark}</span><em>${word}</em></div></div>`;
}

function lastPart(path: string): string {
  return path.split(/[/\\]/).findLast((part) => part !== '') ?? path;
}
