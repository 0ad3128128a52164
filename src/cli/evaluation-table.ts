import type { EvaluationSummary, Share } from '../evaluation/summary.ts';

const BAR = 20;
/** More groups than this are only in the summary's file. */
const MOST_GROUPS = 20;

/** An evaluation as lines for a terminal. */
export function evaluationTable(summary: EvaluationSummary): string[] {
  const rows = summaryRows(summary);
  const width = Math.max(...rows.map(([name]) => name.length));
  const { questions, answers, task } = summary;
  return [
    `${questions} ${task} questions, ${answers} answers`,
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value.toFixed(4)}`),
    ...groupLines('option', summary.options),
    ...groupLines('file', summary.files),
  ];
}

/** What stands in the table, by what a person calls it. */
function summaryRows(summary: EvaluationSummary): [string, number][] {
  const passes = Object.entries(summary.pass_at);
  const isOpen = summary.task === 'open';
  return [
    [isOpen ? 'all findings right' : 'right option', summary.accuracy],
    [isOpen ? 'correct by the released rule' : 'whole text equal', summary.correct],
    ...(summary.jaccard === null ? [] : ([['Jaccard of words', summary.jaccard]] as const)),
    ...(isOpen
      ? ([
          ['F1 macro', summary.f1_macro],
          ['F1 micro', summary.f1_micro],
          ['precision micro', summary.precision_micro],
          ['recall micro', summary.recall_micro],
        ] as const)
      : []),
    ['well-formed', summary.format],
    ...(summary.process_accuracy === null
      ? []
      : ([
          ['steps judged rightly', summary.process_accuracy],
          ['all steps right', summary.process_whole],
        ] as const)),
    ['BLEU-1', summary.bleu_1],
    ['BLEU-4', summary.bleu_4],
    ['ROUGE-1', summary.rouge_1],
    ['ROUGE-2', summary.rouge_2],
    ['ROUGE-L', summary.rouge_l],
    ...(passes.length < 2 ? [] : passes.map(([k, chance]) => [`pass@${k}`, chance] as const)),
  ].map(([name, value]): [string, number] => [String(name), Number(value)]);
}

function groupLines(name: string, groups: Readonly<Record<string, Share>>): string[] {
  const entries = Object.entries(groups);
  if (entries.length < 2 || entries.length > MOST_GROUPS) return [];
  const width = Math.max(...entries.map(([key]) => key.length), name.length);
  return [
    `  by ${name}`,
    ...entries.map(([key, { answers, right, accuracy }]) => {
      const filled = Math.round(accuracy * BAR);
      const bar = '█'.repeat(filled) + '░'.repeat(BAR - filled);
      return `    ${key.padEnd(width)}  ${bar} ${accuracy.toFixed(3)}  ${right}/${answers}`;
    }),
  ];
}
