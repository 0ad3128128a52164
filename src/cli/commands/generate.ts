import { Args, Flags } from '@oclif/core';
import { isLeft } from 'fp-ts/lib/Either.js';
import { configInvalid, issuesOf } from '../../check/issues.ts';
import { ValidationSampling } from '../../config/rollout-schema.ts';
import type { DatasetRow } from '../../data/row.ts';
import { ReportingCommand } from '../command.ts';
import { deviceFlag, modelFlag, pathFlag, templateVariablesFlag } from '../flags.ts';
import { interruptible } from '../interrupt.ts';
import { CountedPhase } from '../output/counted-phase.ts';
import { snakeCase } from '../output/events.ts';
import { controlFlags, samplingKeys } from '../sampling-flags.ts';

/** A flag that is repeated for each value, so that the prompt behind it is no value of it. */
const repeated = (description: string) =>
  pathFlag({
    description,
    multiple: true,
    multipleNonGreedy: true,
    exclusive: ['data'],
  });

export class Generate extends ReportingCommand {
  static override summary = 'Let a model answer prompts.';
  static override description =
    'Either one prompt, with an <image> marker for every --image or a <video> for every --video, whose responses are printed; or the rows ' +
    'of a data set, with one line for each response: {"index", "sample", "response", "token_ids", ' +
    '"log_probs", "finish_reason"}. The same seed gives the same tokens.';
  static override examples = [
    '<%= config.bin %> generate --model Qwen/Qwen2.5-VL-3B-Instruct "<image>Which finding is it?" --image chest.png',
    '<%= config.bin %> generate --model runs/quickstart --data runs/demo/closed-validation.jsonl --out answers.jsonl --n 4',
  ];
  static override usage = 'generate --model MODEL (PROMPT | --data FILE) [FLAGS]';
  static override args = {
    prompt: Args.string({ description: 'what to answer' }),
  };
  static override flags = {
    model: modelFlag,
    image: repeated('picture of the prompt, in order'),
    video: repeated('video of the prompt, in order'),
    data: Flags.string({
      description: 'rows to answer, a source as of data.val_files',
      dependsOn: ['out'],
    }),
    out: pathFlag({ description: 'JSONL file to write', dependsOn: ['data'] }),
    n: Flags.string({ description: 'responses to each prompt', default: '1' }),
    temperature: Flags.string({
      description: 'below 1 likely tokens come more often; 0 takes the likeliest',
      default: '1',
    }),
    'top-p': Flags.string({ description: 'keep tokens up to this mass', default: '1' }),
    'top-k': Flags.string({ description: 'keep this many tokens; -1 keeps all', default: '-1' }),
    seed: Flags.string({ description: 'seed of the sampler', default: '1' }),
    'max-tokens': Flags.integer({ description: 'longest response', default: 512, min: 1 }),
    ...controlFlags,
    'chat-template-kwargs': templateVariablesFlag(),
    'image-dir': pathFlag({ description: 'folder that relative image paths start from' }),
    device: deviceFlag,
    threads: Flags.integer({ description: 'compute threads, by default one per core', min: 1 }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Generate);
    const sampling = samplingOf(flags);
    if ((args.prompt === undefined) === (flags.data === undefined)) {
      this.error('give either a prompt or --data FILE', { exit: 2 });
    }
    const { openModel } = await import('../open-model.ts');
    const { heldRows } = await import('../../data/row-store.ts');
    const { respond } = await import('../respond.ts');
    const { writeFileAtomically } = await import('../../files.ts');

    const rows =
      flags.data === undefined ? [promptRow(args.prompt ?? '', flags)] : await rowsOf(flags.data);
    const { device, threads, 'image-dir': imageDir } = flags;
    const chatTemplateKwargs = flags['chat-template-kwargs'];
    const { output } = this;
    const warn = (text: string): void => output.warn(text);
    using model = await openModel(flags.model, {
      ...{ device, threads, imageDir, chatTemplateKwargs, warn },
    });
    await model.builder.settleBitDepth(heldRows(rows));
    const options = { ...sampling, maxTokens: flags['max-tokens'] };
    const responses = await interruptible(async ({ signal }) => {
      using progress = new CountedPhase(output, 'responses', rows.length * sampling.n);
      const { onProgress } = progress;
      return await respond(model, rows, { ...options, signal, onProgress });
    });
    const records = responses.map(snakeCase);
    if (flags.out !== undefined) {
      const lines = records.map((record) => `${JSON.stringify(record)}\n`);
      await writeFileAtomically(flags.out, lines.join(''));
      this.log(`${responses.length} responses in ${flags.out}`);
    } else {
      for (const record of records)
        await output.tell({ event: 'response', ...record }, record.response);
    }
    const facts = { responses: responses.length, out: flags.out ?? null };
    await output.tell({ event: 'result', command: 'generate', ...facts }, '');
  }
}

/** @throws CONFIG_INVALID naming every flag with a wrong value */
function samplingOf(flags: Readonly<Record<string, unknown>>): ValidationSampling {
  const items = Object.entries(samplingKeys).map(([flag, key]) => [key, flags[flag]] as const);
  const {
    'structured_outputs.regex': regex,
    'structured_outputs.json': json,
    ...given
  } = Object.fromEntries(items);
  const decoded = ValidationSampling.decode({ ...given, structured_outputs: { regex, json } });
  if (isLeft(decoded)) {
    const issues = issuesOf(ValidationSampling, decoded.left);
    throw configInvalid(issues.map((issue) => ({ ...issue, path: flagOf(issue.path) })));
  }
  const { n, bestOf } = decoded.right;
  if (bestOf === null || bestOf >= n) return decoded.right;
  const expected = `expected --n ${n} or more, got ${bestOf}`;
  throw configInvalid([{ path: '--best-of', expected }]);
}

/** The flag that stands for a key, or for an item of it. */
function flagOf(path: string): string {
  const isOf = (key: string): boolean => path === key || path.startsWith(`${key}[`);
  const [flag] = Object.entries(samplingKeys).find(([, key]) => isOf(key)) ?? [path];
  return `--${flag}`;
}

/** A prompt of the command line; pictures or videos without a marker stand before the text. */
function promptRow(
  text: string,
  {
    image: images = [],
    video: videos = [],
  }: Readonly<Record<'image' | 'video', string[] | undefined>>,
): DatasetRow {
  const [marker, count] =
    videos.length > 0 ? ['<video>', videos.length] : ['<image>', images.length];
  const prompt = text.includes(marker) ? text : marker.repeat(count) + text;
  const place = { file: 'command line', name: 'command line', line: 1 };
  const media = {
    images: images.length > 0 ? images : null,
    videos: videos.length > 0 ? videos : null,
  };
  return { ...place, ...media, prompt, history: [], answer: '', fields: {} };
}

async function rowsOf(source: string): Promise<readonly DatasetRow[]> {
  const { DEFAULT_KEYS } = await import('../../data/row.ts');
  const { loadDataset } = await import('../../data/dataset.ts');
  // Rows to be answered may lack an answer, so the prompt stands in for it.
  const keys = { ...DEFAULT_KEYS, answerKey: DEFAULT_KEYS.promptKey };
  return (await loadDataset({ source, invalidRows: 'fail', ...keys })).rows;
}
