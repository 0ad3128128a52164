import { Flags } from '@oclif/core';
import { ReportingCommand } from '../command.ts';
import { deviceFlag, modelFlag, pathFlag } from '../flags.ts';
import { CountedPhase } from '../output/counted-phase.ts';

export class Score extends ReportingCommand {
  static override summary = 'Compute the log-probabilities of given answers.';
  static override description =
    'For each row, with `prompt` (an <image> marker for every image), `images` and `answer`, one line ' +
    '{"index", "token_ids", "log_probs"} over the tokens of the answer and the end-of-turn token, at ' +
    'temperature 1. On request also the gradient of the sum of all log-probabilities, each times its ' +
    "weight in the row's optional `weights`, for every parameter under its Hugging Face name.";
  static override examples = [
    '<%= config.bin %> score --model runs/demo/model --data runs/demo/closed-validation.jsonl --out scores.jsonl',
  ];
  static override usage = 'score --model MODEL --data FILE --out FILE [FLAGS]';
  static override flags = {
    model: modelFlag,
    data: Flags.string({ description: 'JSONL or JSON file', required: true }),
    out: pathFlag({ description: 'JSONL file to write', required: true }),
    grads: pathFlag({ description: 'safetensors file to write gradients to' }),
    'image-dir': pathFlag({ description: 'folder that relative image paths start from' }),
    device: deviceFlag,
    threads: Flags.integer({ description: 'compute threads, by default one per core', min: 1 }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Score);
    const { openModel } = await import('../open-model.ts');
    const { DEFAULT_KEYS } = await import('../../data/row.ts');
    const { loadDataset } = await import('../../data/dataset.ts');
    const { heldRows } = await import('../../data/row-store.ts');
    const { scoreAnswers } = await import('../../training/score-answers.ts');
    const { writeFileAtomically } = await import('../../files.ts');
    const { writeSafetensors } = await import('../../model/checkpoint/safetensors.ts');

    const { device, threads, 'image-dir': imageDir } = flags;
    const source = { source: flags.data, invalidRows: 'fail', ...DEFAULT_KEYS } as const;
    const { rows } = await loadDataset(source);
    const { output } = this;
    const warn = (text: string): void => output.warn(text);
    using model = await openModel(flags.model, { device, threads, imageDir, warn });
    await model.builder.settleBitDepth(heldRows(rows));
    using progress = new CountedPhase(output, 'answers', rows.length);
    const { out, grads = null } = flags;
    const { scores, gradients } = await scoreAnswers(
      model,
      rows,
      grads !== null,
      progress.onProgress,
    );

    const lines = scores.map(({ tokenIds, logProbs }, index) =>
      JSON.stringify({ index, token_ids: [...tokenIds], log_probs: [...logProbs] }),
    );
    await writeFileAtomically(out, lines.map((line) => `${line}\n`).join(''));
    if (grads !== null && gradients !== null) {
      const tensors = gradients.layout.entries.map(({ name }) => ({
        name,
        tensor: gradients.tensor(name),
      }));
      await writeSafetensors(grads, tensors);
    }
    this.log(`log-probabilities of ${scores.length} answers in ${out}`);
    const facts = { answers: scores.length, out, grads };
    await output.tell({ event: 'result', command: 'score', ...facts }, '');
  }
}
