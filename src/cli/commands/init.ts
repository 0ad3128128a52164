import { existsSync } from 'node:fs';
import { Flags } from '@oclif/core';
import { demoFamilies } from '../../demo/family.ts';
import { ReportingCommand } from '../command.ts';
import { demoItems, drawDemo } from '../draw-demo.ts';
import { pathArg } from '../flags.ts';
import { snakeCase } from '../output/events.ts';

export class Init extends ReportingCommand {
  static override summary = 'Write a demo: a small model and drawn chest pictures to teach it.';
  static override description =
    'The checkpoint has random weights and a tokenizer of its own. Closed and open questions, each with ' +
    'a training and a validation part that share no picture, lie beside it as JSONL. A model without vision reads in words ' +
    'what the pictures show.';
  static override examples = ['<%= config.bin %> init runs/demo --seed 7'];
  static override args = {
    directory: pathArg({ description: 'folder to write, new or empty', default: 'demo' }),
  };
  static override flags = {
    family: Flags.option({
      description: 'family of the model',
      options: demoFamilies,
      default: 'qwen2.5-vl' as const,
    })(),
    seed: Flags.integer({ description: 'seed of weights and pictures', default: 1 }),
    'train-rows': Flags.integer({ description: 'training rows of each task', min: 1 }),
    'val-rows': Flags.integer({ description: 'validation rows of each task', min: 1 }),
    'closed-rejections': Flags.integer({
      description:
        'wrong options that a closed question gives to be judged beside the right one; 0 gives all, and asks for a letter',
      min: 0,
      max: 6,
      default: 0,
    }),
    'if-missing': Flags.boolean({ description: 'do nothing when the folder has a demo already' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Init);
    const { demoPaths } = await import('../../demo/write.ts');
    const { directory } = args;
    if (flags['if-missing'] && existsSync(demoPaths(directory).model)) return;
    const train = flags['train-rows'];
    const validation = flags['val-rows'];
    const options = {
      seed: flags.seed,
      family: flags.family,
      closedRejections: flags['closed-rejections'],
      rows: {
        ...(train !== undefined && { closedTrain: train, openTrain: train }),
        ...(validation !== undefined && {
          closedValidation: validation,
          openValidation: validation,
        }),
      },
    };
    const written = await drawDemo(directory, options, this.output);
    const items = demoItems(directory, written);
    const quoted = items.map((item) => (/\s/.test(item) ? JSON.stringify(item) : item));
    const paths = Object.values(written);
    await this.output.tell(
      { event: 'result', command: 'init', ...snakeCase(written) },
      `${paths.join('\n')}\n\nnext:\n  npx cxmind sft ${quoted.join(' \\\n    ')}`,
    );
  }
}
