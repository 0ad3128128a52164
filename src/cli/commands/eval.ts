import { join, resolve } from 'node:path';
import { Flags, type Interfaces } from '@oclif/core';
import type { Gather } from '../../../transport/launch/cluster.ts';
import type { Config } from '../../config/schema.ts';
import { CxmindError } from '../../errors.ts';
import type { EvaluationSummary, Share } from '../../evaluation/summary.ts';
import { tasks } from '../../evaluation/task.ts';
import { ClusterCommand } from '../command.ts';
import {
  configFromItems,
  folderFromItems,
  itemArgs,
  itemFlags,
  printConfig,
} from '../config-items.ts';
import { pathFlag, templateVariablesFlag } from '../flags.ts';
import { bar } from '../output/progress.ts';
import type { Paint } from '../output/style.ts';
import { controlFlags, samplingKeys } from '../sampling-flags.ts';

const evalFlags = {
  ...itemFlags,
  task: Flags.string({
    description: 'kind of questions; by default closed where every reference comes to an option',
    options: [...tasks],
  }),
  limit: Flags.integer({ description: 'ask only the first rows of each file', min: 1 }),
  n: Flags.string({ description: 'answers to each question' }),
  temperature: Flags.string({
    description: 'below 1 likely tokens come more often; 0 takes the likeliest',
  }),
  'top-p': Flags.string({ description: 'keep tokens up to this mass' }),
  'top-k': Flags.string({ description: 'keep this many tokens; -1 keeps all' }),
  seed: Flags.string({ description: 'seed of the sampler' }),
  'max-tokens': Flags.integer({ description: 'longest answer', min: 1 }),
  ...controlFlags,
  'chat-template-kwargs': templateVariablesFlag(),
  k: Flags.string({
    description: 'the k of pass@k; those above --n are left out',
    default: '1,2,4,8,16',
  }),
  judge: Flags.boolean({
    description:
      'let the first judge of worker.reward.reward_functions judge open answers, else gpt-4o behind AZURE_OPENAI_ENDPOINT, _API_KEY and _API_VERSION',
  }),
  out: pathFlag({
    description: 'folder for the results; by default eval in trainer.save_checkpoint_path',
  }),
  report: Flags.boolean({ description: 'write report.html', default: true, allowNo: true }),
  'report-rows': Flags.integer({
    description: 'questions that the report shows, those with wrong answers first',
    default: 200,
    min: 0,
  }),
};

/** The flags of `eval` as they are parsed. */
type EvalFlags = Interfaces.InferredFlags<typeof evalFlags>;

export class Eval extends ClusterCommand {
  static override summary = 'Evaluate a checkpoint on closed or open questions.';
  static override description =
    'Answers data.val_files with the validation sampling, scores the answers, and writes a ' +
    'folder: predictions.jsonl, to which each answer is appended as its record with `predict`, `correct` (for ' +
    'open questions `jaccard` too), as the released scripts do, and `scores`; summary.json; report.html with the ' +
    'pictures. Rows may be of this form or records with `messages` and `images`.';
  static override usage = 'eval config=FILE [path.to.key=value ...]';
  static override examples = [
    '<%= config.bin %> eval config=configs/cx-closed.yaml data.val_files=test.jsonl worker.actor.model.model_path=MODEL',
    '<%= config.bin %> eval config=configs/cx-open.yaml data.val_files=tests/ --limit 50 --temperature 1 --n 8 --k 1,4,8',
  ];
  static override strict = false;
  static override args = itemArgs;
  static override flags = evalFlags;

  async runOn(gather: Gather | undefined): Promise<void> {
    const { argv, flags } = await this.parse(Eval);
    const items = [...(argv as string[]), ...flagItems(flags)];
    if (flags['print-config']) return printConfig(items, this.output);
    const ks = ksOf(flags.k);
    const loaded = await configFromItems(items, 'eval', this.output);
    const config = evaluationOnly(loaded.config, flags.out);
    const { evaluate } = await import('../evaluate.ts');
    const { output } = this;
    const { summary, files, seconds } = await evaluate(config, flags, ks, { output, gather });
    const lines = [
      ...evaluationTable(summary),
      ...files,
      `accuracy ${summary.accuracy.toFixed(4)} in ${seconds.toFixed(0)} s`,
    ];
    const facts = { ...summary, files, seconds };
    await output.tell({ event: 'result', command: 'eval', ...facts }, lines.join('\n'), paint);
  }

  async folder(): Promise<string> {
    const { argv } = await this.parse(Eval);
    return folderFromItems(argv as string[]);
  }
}

function flagItems(flags: EvalFlags): string[] {
  const sampling = Object.entries(samplingKeys).flatMap(([flag, key]) => {
    const value = flags[flag as keyof typeof samplingKeys];
    if (value === undefined) return [];
    // JSON is YAML, and keeps a regular expression from being read as a list.
    const isNumber = typeof value === 'string' && flag !== 'regex';
    const yaml = isNumber ? value : JSON.stringify(value);
    return [`worker.rollout.val_override_config.${key}=${yaml}`];
  });
  const { 'max-tokens': longest, 'chat-template-kwargs': variables } = flags;
  return [
    ...sampling,
    ...(longest === undefined ? [] : [`data.max_response_length=${longest}`]),
    ...(variables === undefined
      ? []
      : [`data.apply_chat_template_kwargs=${JSON.stringify(variables)}`]),
  ];
}

/** @throws CONFIG_INVALID for anything but positive integers */
function ksOf(text: string): number[] {
  const ks = text.split(',').map(Number);
  if (ks.every((k) => Number.isInteger(k) && k > 0)) return ks;
  throw new CxmindError('CONFIG_INVALID', `--k: expected numbers as in 1,2,4, got ${text}`);
}

/** The config of an evaluation, beside the run it may have come from. */
function evaluationOnly(config: Config, out: string | undefined): Config {
  const { algorithm, trainer } = config;
  const folder = out === undefined ? join(trainer.saveCheckpointPath ?? '.', 'eval') : resolve(out);
  return {
    ...config,
    algorithm: { ...algorithm, disableKl: true },
    trainer: { ...trainer, nnodes: 1, saveCheckpointPath: folder },
  };
}

const BAR = 20;
/** Most groups that the table lists; the summary's file has all. */
const MOST_GROUPS = 20;

/** Paints the last line, which most people look for. */
const paint: Paint = (text, { strong }) => text.replace(/(?<=\n)accuracy .*$/, strong);

/** An evaluation as lines for a terminal. */
function evaluationTable(summary: EvaluationSummary): string[] {
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

/** Rows of the table: a number by the name that people give it. */
function summaryRows(summary: EvaluationSummary): (readonly [string, number])[] {
  const passes = Object.entries(summary.pass_at).map(
    ([k, chance]) => [`pass@${k}`, chance] as const,
  );
  const isOpen = summary.task === 'open';
  const hasSteps = summary.process_accuracy !== null;
  const rows: (readonly [name: string, value: number | null])[] = [
    [isOpen ? 'all findings right' : 'right option', summary.accuracy],
    [isOpen ? 'correct by the released rule' : 'whole text equal', summary.correct],
    ['Jaccard of words', summary.jaccard],
    ['F1 macro', isOpen ? summary.f1_macro : null],
    ['F1 micro', isOpen ? summary.f1_micro : null],
    ['precision micro', isOpen ? summary.precision_micro : null],
    ['recall micro', isOpen ? summary.recall_micro : null],
    ['well-formed', summary.format],
    ['steps judged rightly', summary.process_accuracy],
    ['all steps right', hasSteps ? summary.process_whole : null],
    ['BLEU-1', summary.bleu_1],
    ['BLEU-4', summary.bleu_4],
    ['ROUGE-1', summary.rouge_1],
    ['ROUGE-2', summary.rouge_2],
    ['ROUGE-L', summary.rouge_l],
    ...(passes.length < 2 ? [] : passes),
  ];
  return rows.filter((row): row is [string, number] => row[1] !== null);
}

function groupLines(name: string, groups: Readonly<Record<string, Share>>): string[] {
  const entries = Object.entries(groups);
  if (entries.length < 2 || entries.length > MOST_GROUPS) return [];
  const width = Math.max(...entries.map(([key]) => key.length), name.length);
  return [
    `  by ${name}`,
    ...entries.map(([key, { answers, right, accuracy }]) => {
      return `    ${key.padEnd(width)}  ${bar(accuracy, BAR)} ${accuracy.toFixed(3)}  ${right}/${answers}`;
    }),
  ];
}
