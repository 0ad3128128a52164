/**
 * The work of `eval`: it asks the policy the questions, scores the answers, and writes predictions, summary and report.
 *
 * Answers are written a batch at a time, so that an evaluation that is interrupted leaves those it had.
 */
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RunFiles } from '../../actors/run-folder/files.ts';
import { RunLock } from '../../actors/run-folder/lock.ts';
import { evaluatePolicy } from '../../actors/trainer/run.ts';
import type { ScoredResponse } from '../../actors/trainer/score.ts';
import type { Gather } from '../../transport/launch/cluster.ts';
import { sourceList } from '../config/names.ts';
import { validationSampling } from '../config/derive.ts';
import type { Config } from '../config/schema.ts';
import { ValidationSampling } from '../config/rollout-schema.ts';
import { answerText, DEFAULT_KEYS } from '../data/row.ts';
import { loadDataset } from '../data/dataset.ts';
import { openJudge, type Judge } from '../evaluation/judge.ts';
import { questionLine, questionsOf, type Question } from '../evaluation/questions.ts';
import { reportPage, type ReportQuestion } from '../evaluation/report.ts';
import { scoreAnswer, type AnswerScore } from '../evaluation/score.ts';
import { summarize, type EvaluationSummary } from '../evaluation/summary.ts';
import { taskOf, tasks, type Task } from '../evaluation/task.ts';
import { CxmindError } from '../errors.ts';
import { writeFileAtomically, writeJson } from '../files.ts';
import type { Metrics } from '../metrics.ts';
import { thumbnail } from '../vision/encode.ts';
import type { Output } from './output/output.ts';
import { runTraining } from './run-training.ts';

/** Prompts answered together. Their answers are written before the next prompts are asked. */
const BATCH = 256;
/** Longer side of a picture in the report. */
const PICTURE_SIDE = 448;

/** An answer to a question; `predict` is null where the question could not be asked. */
interface Answer {
  readonly question: number;
  readonly predict: string | null;
  readonly parts: Readonly<Record<string, number>>;
  readonly tokens: number;
  readonly score: AnswerScore;
}

/** Result of an evaluation, the files that hold it, and the time it took. */
export interface Evaluated {
  readonly summary: EvaluationSummary;
  readonly files: readonly string[];
  readonly seconds: number;
}

/** Flags that decide which questions are asked and which files are written. */
export interface EvaluationFlags {
  readonly task?: string | undefined;
  readonly limit?: number | undefined;
  readonly judge: boolean;
  readonly report: boolean;
  readonly 'report-rows': number;
}

/** Output of an evaluation, and the nodes that it runs on. */
export interface EvaluationRun {
  readonly output: Output;
  readonly gather: Gather | undefined;
}

/**
 * Evaluates a config's policy on its validation files.
 *
 * @param ks the k of pass@k
 * @throws CONFIG_INVALID where the config's folder has a training run
 */
export async function evaluate(
  config: Config,
  flags: EvaluationFlags,
  ks: readonly number[],
  run: EvaluationRun,
): Promise<Evaluated> {
  const started = performance.now();
  const { data } = config;
  const { rows } = await loadDataset({ source: data.valFiles, ...data });
  const task =
    tasks.find((one) => one === flags.task) ?? taskOf(rows.map(({ answer }) => answerText(answer)));
  const options = { task, limit: flags.limit ?? null, imageDir: data.imageDir };
  const questions = await questionsOf(rows, options);
  const folder = config.trainer.saveCheckpointPath ?? '.';
  await using _ = await RunLock.take(folder);
  await refuseTrainingRun(folder);
  const fileOf = (name: string): string => join(folder, name);
  const judge = flags.judge ? await judgeFor(config, fileOf('judge.jsonl'), run) : null;

  const own = ownConfig(config, task, fileOf('questions.jsonl'));
  const lines = questions.map((question) => `${questionLine(question)}\n`).join('');
  await writeFileAtomically(fileOf('questions.jsonl'), lines);
  const predictions = fileOf('predictions.jsonl');
  const asking = { task, questions, judge, predictions, run };
  const { answers, unasked, metrics } = await askAll(own, asking);

  const named = answers.map((answer) => ({ ...answer, file: questions[answer.question]!.file }));
  const summary = summarize(task, named, ks);
  const seconds = (performance.now() - started) / 1000;
  const model = config.worker.actor.model.modelPath ?? '';
  const content = {
    model,
    data: data.valFiles,
    sampling: ValidationSampling.encode(validationSampling(own.worker.rollout)),
    max_tokens: data.maxResponseLength,
    seconds,
    unasked,
    ...summary,
    reward: metrics,
    ...(judge !== null && { judge: { ...judge.counts, failed: judge.failures.count } }),
  };
  const files = [predictions, fileOf('summary.json')];
  await writeJson(fileOf('summary.json'), content);
  if (flags.report) {
    const shown = await reportQuestions(task, questions, answers, flags['report-rows']);
    const sources = sourceList(data.valFiles).join(', ');
    const page = reportPage({ summary, model, data: sources, questions: shown });
    await writeFileAtomically(fileOf('report.html'), page);
    files.push(fileOf('report.html'));
  }
  return { summary, files, seconds };
}

/** The judge of answers. Its replies are kept in `cachePath`, unless the config names a file for them. */
function judgeFor(
  { worker }: Config,
  cachePath: string,
  { output }: EvaluationRun,
): Promise<Judge> {
  const configured = worker.reward.rewardFunctions.flatMap(({ name, judge }) =>
    judge === null ? [] : [{ name, judge }],
  );
  const warn = (message: string): void => output.warn(message);
  return openJudge(configured[0], { environment: process.env, cachePath, warn });
}

/** @throws CONFIG_INVALID for the folder of a training run */
async function refuseTrainingRun(folder: string): Promise<void> {
  if (!(await (await RunFiles.open(folder)).hasSteps())) return;
  throw new CxmindError(
    'CONFIG_INVALID',
    `${folder} is the folder of a training run, whose summary.json an evaluation would replace; name another by ` +
      `--out, as in --out ${join(folder, 'eval')}`,
  );
}

/**
 * Asks the questions in batches, and appends the scored answers of each batch to the file of predictions.
 *
 * @returns all answers, the number of questions that could not be asked, and the metrics of the rewards
 */
async function askAll(
  config: Config,
  asking: {
    readonly task: Task;
    readonly questions: readonly Question[];
    readonly judge: Judge | null;
    /** Path of the file of predictions. */
    readonly predictions: string;
    readonly run: EvaluationRun;
  },
): Promise<{
  readonly answers: readonly Answer[];
  readonly unasked: number;
  readonly metrics: Metrics;
}> {
  const { task, questions, judge, predictions, run } = asking;
  const answers: Answer[] = [];
  const keep = async (batch: readonly Answer[]): Promise<void> => {
    const records = batch.map((answer, i) =>
      recordLine(questions[answer.question]!, answer, sampleOf(batch, i)),
    );
    if (records.length > 0) await appendFile(predictions, `${records.join('\n')}\n`);
    answers.push(...batch);
  };
  const { metrics } = await runTraining(
    config,
    (whole, options) =>
      evaluatePolicy(whole, options, async (scored) => {
        await keep(await scoredAnswers(scored, questions, task, judge, options.signal));
      }),
    run,
  );
  const asked = new Set(answers.map(({ question }) => question));
  const unasked = questions.flatMap((_, i) => (asked.has(i) ? [] : [i]));
  await keep(unasked.map((i) => unanswered(i, questions[i]!, task)));
  if (judge !== null && judge.failures.count > 0) {
    const { count, first } = judge.failures;
    run.output.warn(`--judge: ${count} answers judged by their words alone: ${first}`);
  }
  return { answers, unasked: unasked.length, metrics };
}

/** The config of the run that answers the questions, which reads them from their file. */
function ownConfig(config: Config, task: Task, questions: string): Config {
  const { data, worker } = config;
  const { rewardFunction, rewardFunctions } = worker.reward;
  const usual = rewardFunctions.length === 0 ? task : null;
  return {
    ...config,
    data: {
      ...data,
      ...DEFAULT_KEYS,
      valFiles: questions,
      imageDir: null,
      valBatchSize: data.valBatchSize === -1 ? BATCH : data.valBatchSize,
    },
    worker: {
      ...worker,
      reward: { ...worker.reward, rewardFunction: rewardFunction ?? usual },
    },
  };
}

async function scoredAnswers(
  scored: readonly ScoredResponse[],
  questions: readonly Question[],
  task: Task,
  judge: Judge | null,
  signal: AbortSignal,
): Promise<Answer[]> {
  const places = scored.map(({ group }) => questionIndex(group.prompt.promptId));
  const golds = places.map((question) => questions[question]!.gold);
  const judged = scored.map(({ text }, i) => ({ prediction: text.trim(), gold: golds[i]! }));
  const verdicts = task === 'open' ? await judge?.verdicts(judged, signal) : undefined;
  return scored.map((one, i): Answer => ({
    question: places[i]!,
    predict: one.text,
    parts: one.parts,
    tokens: one.response.tokenIds.data.length,
    score: scoreAnswer(task, one.text, golds[i]!, verdicts?.[i]),
  }));
}

/** A prompt's id ends with its line, from 1. */
function questionIndex(promptId: string): number {
  return Number(promptId.slice(promptId.lastIndexOf(':') + 1)) - 1;
}

function unanswered(question: number, { gold }: Question, task: Task): Answer {
  return { question, predict: null, parts: {}, tokens: 0, score: scoreAnswer(task, null, gold) };
}

/** Number of an answer among those to its question in the batch, from 0. */
function sampleOf(batch: readonly Answer[], at: number): number {
  const { question } = batch[at]!;
  return batch.slice(0, at).filter((answer) => answer.question === question).length;
}

function recordLine(
  { record, file }: Question,
  { predict, parts, tokens, score }: Answer,
  sample: number,
): string {
  const { correct, jaccard, overlap, rightSteps, ...scores } = score;
  return JSON.stringify({
    ...record,
    predict,
    correct,
    ...(jaccard !== null && { jaccard }),
    scores: { file, sample, tokens, ...scores, right_steps: rightSteps, ...overlap, reward: parts },
  });
}

/** The questions that a report shows, those with more wrong answers first. */
async function reportQuestions(
  task: Task,
  questions: readonly Question[],
  answers: readonly Answer[],
  limit: number,
): Promise<ReportQuestion[]> {
  const grouped = Map.groupBy(answers, ({ question }) => question);
  const share = (question: number): number => {
    const group = grouped.get(question) ?? [];
    return group.filter(({ score }) => score.right === 1).length / Math.max(1, group.length);
  };
  const order = questions.map((_, i) => i).sort((a, b) => share(a) - share(b) || a - b);
  const shown: ReportQuestion[] = [];
  for (const i of order.slice(0, limit)) {
    const { prompt, gold, images, file } = questions[i]!;
    const pictures = await Promise.all(
      images.map((image) =>
        thumbnail(typeof image === 'string' ? image : image.bytes, PICTURE_SIDE),
      ),
    );
    const own = { number: i + 1, answers: grouped.get(i) ?? [] };
    shown.push({ task, file, prompt, gold, pictures, ...own });
  }
  return shown;
}
