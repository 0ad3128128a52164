/** The guide to chest X-rays: its four commands on made-up DICOM files, one after the other, cut to a tiny size. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentReporter } from '../../actors/trainer/report/reporter.ts';
import { trainCurriculum, type CurriculumSummary } from '../../actors/trainer/curriculum.ts';
import { trainSupervised } from '../../actors/trainer/warm-start.ts';
import { evaluate } from '../../src/cli/evaluate.ts';
import { TextOutput } from '../../src/cli/output/text-output.ts';
import { configFrom } from '../../src/config/load.ts';
import { convertSet } from '../../src/convert/convert.ts';
import { keyOf, Rng } from '../../src/rng.ts';
import { dicomFile } from '../support/dicom-file.ts';
import { blockOf, callOf, projectRoot } from '../support/pages.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { keepingLogger, writeTinyDemo } from '../support/tiny-run.ts';

const page = 'examples/chest-x-rays.md';
const SIDE = 56;
const PATIENT = 'Nobody^In Particular';

/** Writes radiographs of a heart, large or not, in noise, and the tables of their labels. */
function writeDicoms(folder: string, header: string): void {
  const rng = new Rng(keyOf('chest x-rays'));
  for (const [split, count] of Object.entries({ train: 8, valid: 2 })) {
    mkdirSync(join(folder, split), { recursive: true });
    const lines = [header];
    for (let i = 0; i < count; i++) {
      const isLarge = i % 2 === 0;
      const heart = isLarge ? 400 : 60;
      const samples = Uint16Array.from({ length: SIDE * SIDE }, (_, at) => {
        const [x, y] = [(at % SIDE) - SIDE / 2, Math.floor(at / SIDE) - SIDE / 2];
        return (x * x + y * y < heart ? 3000 : 500) + rng.nextBelow(500);
      });
      writeFileSync(join(folder, split, `${i}.dcm`), dicomFile(samples, SIDE, PATIENT));
      const labels = isLarge ? ',,1,,,,,,,0,,,,' : '1,,0,,,,,,,0,,,,';
      lines.push(`CheXpert-v1.0/${split}/${i}.dcm,Frontal,${labels}`);
    }
    writeFileSync(join(folder, `${split}.csv`), lines.join('\n'));
  }
}

describe('the guide to chest X-rays', () => {
  const here = process.cwd();
  let folder: TemporaryDirectory;
  let trained: CurriculumSummary;

  /** A command's config: the page's own items, and those that make it tiny. */
  const configOf = (command: string, purpose: 'sft' | 'train' | 'eval') => {
    const model = command === 'sft' ? ['worker.actor.model.model_path=demo/model'] : [];
    const items = [
      ...callOf(page, command).filter((word) => !word.startsWith('--')),
      ...model,
      'data={rollout_batch_size: 4, min_pixels: 3136, max_pixels: 3136}',
      `data.max_response_length=${command === 'sft' ? 160 : 8}`, // a chain is imitated whole
      'worker={actor: {global_batch_size: 4}, rollout: {n: 2}}',
      'worker.actor={micro_batch_size_per_device_for_update: 4}',
      'worker.actor={micro_batch_size_per_device_for_experience: 4}',
      'sft={max_steps: 1, batch_size: 2, micro_batch_size: 2}',
      'trainer={val_freq: -1, val_before_train: false, threads: 1, local_mode: true, device: cpu, logger: [file]}',
      ...(command === 'train'
        ? ['curriculum.0.steps=1', 'curriculum.1.steps=1', 'curriculum.1.mix.closed=0.25']
        : []),
    ];
    return configFrom(items, { purpose, packageRoot: projectRoot });
  };

  before(async () => {
    folder = new TemporaryDirectory();
    process.chdir(folder.path);
    await writeTinyDemo('demo');
    writeDicoms('dicom', blockOf(page, 'text', '1. Pictures and labels').split('\n')[0]!);
    const [layout, from, to] = callOf(page, 'convert');
    assert.equal(layout, 'chexpert');
    const draws = { seed: 1, options: 3, distractors: 1, limit: null, lateral: false } as const;
    const set = { layout, folder: from!, reports: null, uncertain: 'ignore' } as const;
    await convertSet(to!, { ...draws, ...set });

    const { logger } = keepingLogger();
    const { signal } = new AbortController();
    const quiet = { reporter: silentReporter, logger, signal };
    await trainSupervised((await configOf('sft', 'sft')).config, quiet);
    const { config, stages } = await configOf('train', 'train');
    const named = stages.map(({ stage, config }) => ({ ...stage, config }));
    trained = await trainCurriculum(named, config.trainer.saveCheckpointPath!, quiet);
  });
  after(() => {
    process.chdir(here);
    folder[Symbol.dispose]();
  });

  it('converts, warms up, and trains on closed and then on open questions', () => {
    const rows = readFileSync('rows/closed-train.jsonl', 'utf8').trim().split('\n');
    assert.equal(rows.length, 8);
    assert.match(rows[0]!, /"images":\["train\/0.dcm"\]/);
    assert.deepEqual(
      trained.stages.map(({ name, steps }) => [name, steps]),
      [
        ['closed', 1],
        ['open', 1],
      ],
    );
  });

  it('evaluates, with a report that shows the pictures and tells no patient', async () => {
    const { config } = await configOf('eval', 'eval');
    const flags = { judge: false, report: true, 'report-rows': 10 };
    const output = new TextOutput('quiet');
    const saveCheckpointPath = 'runs/chest/eval';
    const looking = { ...config, trainer: { ...config.trainer, saveCheckpointPath } };
    const { summary, files } = await evaluate(looking, flags, [1], { output, gather: undefined });
    assert.equal(summary.questions, 2);
    const report = readFileSync(
      files.find((file) => file.endsWith('report.html'))!,
      'utf8',
    );
    assert.match(report, /<img [^>]*src="data:image/);
    for (const file of [...files, 'rows/closed-valid.jsonl', 'rows/open-train.jsonl']) {
      const text = readFileSync(file, 'utf8');
      assert.ok(!text.includes(PATIENT) && !text.includes('Nobody'), file);
    }
  });
});
