import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { Flags } from '@oclif/core';
import { ReportingCommand } from '../command.ts';
import { pathFlag } from '../flags.ts';

const dtypes = { bf16: 'bf16', f16: 'f16', f32: 'f32' } as const;

export class Merge extends ReportingCommand {
  static override summary = 'Make a plain Hugging Face directory of a checkpoint.';
  static override description =
    "Takes the `actor` (or `critic`) folder of a run's global_step_N. Adapters in it are merged into the model " +
    'that they were trained on; weights are cast where --dtype says so. What comes out loads in transformers and ' +
    "vLLM, and as `worker.actor.model.model_path`. An adapter directory of PEFT's own may be given as well.";
  static override examples = [
    '<%= config.bin %> merge --local_dir runs/quickstart --out merged --dtype bf16',
  ];
  static override usage = 'merge --local_dir DIR [FLAGS]';
  static override flags = {
    local_dir: pathFlag({
      description:
        "folder of the checkpoint: global_step_N/actor, the one above it, or a run's (its best one)",
      required: true,
      aliases: ['local-dir'],
    }),
    out: pathFlag({ description: 'directory to write; huggingface in that folder if absent' }),
    base: pathFlag({
      description: 'model of the adapters, where it is no longer at its place',
    }),
    dtype: Flags.option({
      options: Object.values(dtypes),
      description: 'type to store weights in',
    })(),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Merge);
    const { modelIn } = await import('../../hub/run-folder.ts');
    const { mergeCheckpoint } = await import('../../model/checkpoint/merge-checkpoint.ts');
    const { local_dir: folder, base, dtype, out } = flags;
    const found = existsSync(folder) ? modelIn(folder, 'actor') : folder;
    const written = await mergeCheckpoint(found === folder ? folder : dirname(found), {
      ...(out !== undefined && { out }),
      ...(base !== undefined && { base }),
      ...(dtype !== undefined && { dtype }),
      onNote: (note) => this.output.warn(note),
    });
    await this.output.tell({ event: 'result', command: 'merge', folder: written }, written);
  }
}
