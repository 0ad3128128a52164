/**
 * The report of a validation: its answers by option and by finding, with their confusion matrix.
 *
 * Conclusions are read from responses and references as `cxmind eval` reads them (`src/evaluation`). The matrix of closed
 * questions counts pairs of options. That of open ones is the multi-label confusion matrix of Heydarian, Doyle and Samavi
 * (MLCM, IEEE Access 2022). With T the findings of the reference and P those that the response names,
 *
 * - every finding of both is a hit on the diagonal;
 * - where P has nothing that T has not, each missed finding counts in the column `none`;
 * - where T has nothing that P has not, each finding of T (the row `none`, if T is empty) counts against each finding
 *   that P has too much;
 * - else each missed finding counts against each finding that P has too much.
 *
 * Findings are free text, so all but the most frequent share the row and column `other`.
 */
import { compareAnswer, type Comparison } from '../../evaluation/score.ts';
import { stepsOf, taskOf, type Task } from '../../evaluation/task.ts';
import type {
  ConfusionMatrix,
  FindingScore,
  ValidationGroup,
  ValidationReport,
} from '../api-samples.ts';
import type { SampleRecord } from './sample-record.ts';

/** Findings with a row of their own. */
const MOST_FINDINGS = 40;
const NONE = 'none';
const OTHER = 'other';

type Judged = Pick<Comparison, 'right' | 'answer' | 'gold'>;

/** The report of a step. @param records its answers, at least one */
export function validationReport(
  step: number,
  records: readonly SampleRecord[],
): Omit<ValidationReport, 'steps' | 'isWhole'> {
  const task = taskOf(records.map(({ groundTruth }) => groundTruth));
  const judged = records.map(({ output, groundTruth }) => compareAnswer(task, output, groundTruth));
  const shared = {
    ...{ step, task, answers: judged.length },
    right: judged.filter(({ right }) => right === 1).length,
    processAccuracy: processAccuracy(task, records),
  };
  if (task === 'closed') {
    return { ...shared, options: byOption(judged), findings: [], matrix: optionMatrix(judged) };
  }
  const { known, merged } = frequentFindings(judged);
  return {
    ...shared,
    options: [],
    findings: known.map((name) => findingScore(name, merged)),
    matrix: matrixOf(known, merged.flatMap(findingPairs)),
  };
}

/** Share of right claims among the steps of reasoning that claim something; null without any. */
function processAccuracy(task: Task, records: readonly SampleRecord[]): number | null {
  const verdicts = records
    .flatMap(({ output, groundTruth }) => stepsOf(task, output, groundTruth))
    .flatMap(({ isRight }) => isRight ?? []);
  return verdicts.length === 0 ? null : verdicts.filter(Boolean).length / verdicts.length;
}

function byOption(judged: readonly Judged[]): ValidationGroup[] {
  const groups = Map.groupBy(judged, ({ gold }) => gold[0] ?? NONE);
  return [...groups]
    .map(([name, group]) => ({
      name,
      answers: group.length,
      right: group.filter(({ right }) => right === 1).length,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function optionMatrix(judged: readonly Judged[]): ConfusionMatrix {
  const options = new Set(judged.flatMap(({ answer, gold }) => [...answer, ...gold]));
  const pairs = judged.map(({ answer, gold }): Pair => [gold[0] ?? NONE, answer[0] ?? NONE]);
  return matrixOf([...options].sort(), pairs);
}

/** The findings that have a row of their own, the most frequent first, and the answers with all others merged. */
function frequentFindings(judged: readonly Judged[]): {
  readonly known: readonly string[];
  readonly merged: readonly Judged[];
} {
  const counts = new Map<string, number>();
  for (const { answer, gold } of judged) {
    for (const finding of new Set([...answer, ...gold])) {
      // Findings of references come before findings that only responses name.
      const weight = gold.includes(finding) ? judged.length + 1 : 1;
      counts.set(finding, (counts.get(finding) ?? 0) + weight);
    }
  }
  const sorted = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const frequent = new Set(sorted.slice(0, MOST_FINDINGS).map(([name]) => name));
  const merge = (findings: readonly string[]): string[] => [
    ...new Set(findings.map((finding) => (frequent.has(finding) ? finding : OTHER))),
  ];
  const merged = judged.map((one) => ({
    ...one,
    answer: merge(one.answer),
    gold: merge(one.gold),
  }));
  const hasOthers = sorted.length > frequent.size;
  return { known: [...frequent, ...(hasOthers ? [OTHER] : [])], merged };
}

function findingScore(name: string, judged: readonly Judged[]): FindingScore {
  let [hits, falseAlarms, misses] = [0, 0, 0];
  for (const { answer, gold } of judged) {
    const [isNamed, isTrue] = [answer.includes(name), gold.includes(name)];
    if (isNamed && isTrue) hits++;
    else if (isNamed) falseAlarms++;
    else if (isTrue) misses++;
  }
  const share = (part: number, all: number): number | null => (all === 0 ? null : part / all);
  return {
    ...{ name, hits, falseAlarms, misses },
    precision: share(hits, hits + falseAlarms),
    recall: share(hits, hits + misses),
    f1: share(2 * hits, 2 * hits + falseAlarms + misses),
  };
}

/** Cells of the matrix of findings that an answer counts in. */
function findingPairs({ answer, gold }: Judged): Pair[] {
  const [truths, named] = [new Set(gold), new Set(answer)];
  const missed = [...truths.difference(named)];
  const extra = [...named.difference(truths)];
  const instead = extra.length > 0 ? extra : [NONE];
  const isAgainstAll = missed.length === 0 && extra.length > 0;
  const against = truths.size === 0 ? [NONE] : isAgainstAll ? [...truths] : missed;
  return [
    ...[...truths.intersection(named)].map((hit): Pair => [hit, hit]),
    ...against.flatMap((finding) => instead.map((wrong): Pair => [finding, wrong])),
  ];
}

/** A finding or option of the reference, and the one that a response has in its place. */
type Pair = readonly [row: string, column: string];

/** Counts of pairs of names; `none` has a row and a column where it occurs. */
function matrixOf(names: readonly string[], pairs: readonly Pair[]): ConfusionMatrix {
  const namesAt = (side: 0 | 1): string[] => {
    const hasNone = pairs.some((pair) => pair[side] === NONE);
    return [...new Set([...names, ...(hasNone ? [NONE] : [])])];
  };
  const [rows, columns] = [namesAt(0), namesAt(1)];
  const counts = rows.map(() => columns.map(() => 0));
  for (const [row, column] of pairs) counts[rows.indexOf(row)]![columns.indexOf(column)]!++;
  return { rows, columns, counts };
}
