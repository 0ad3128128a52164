import { join } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { ReportingCommand } from '../command.ts';
import { pathArg, pathFlag } from '../flags.ts';

const LAYOUTS = ['chexpert', 'nih', 'mimic-cxr-jpg'] as const;

export class Convert extends ReportingCommand {
  static override summary = 'Write rows of questions about a public set of chest radiographs.';
  static override description =
    "Reads the set's tables of labels, and its reports where there are some, and writes closed and open questions " +
    'with the chains that answer them as JSONL. The set must lie on this machine; nothing is downloaded or copied.';
  static override examples = [
    '<%= config.bin %> convert chexpert data/CheXpert-v1.0-small data/chexpert-rows --limit 20000',
    '<%= config.bin %> convert mimic-cxr-jpg data/mimic-cxr-jpg data/mimic-rows --reports data/mimic-cxr',
  ];
  static override args = {
    layout: Args.string({ description: 'name of the set', options: [...LAYOUTS], required: true }),
    folder: pathArg({ description: "the set's folder, with its tables", required: true }),
    output: pathArg({ description: 'folder to write, new or empty', required: true }),
  };
  static override flags = {
    seed: Flags.integer({ description: 'seed of what is drawn', default: 1 }),
    options: Flags.integer({
      description: 'options of a closed question',
      min: 2,
      max: 7,
      default: 4,
    }),
    distractors: Flags.integer({
      description: 'findings that are not there, and that the chain of an open question rejects',
      min: 0,
      default: 2,
    }),
    limit: Flags.integer({ description: 'most pictures of a part of the set', min: 1 }),
    lateral: Flags.boolean({ description: 'take lateral pictures too' }),
    uncertain: Flags.option({
      description: 'what an uncertain label is read as',
      options: ['ignore', 'present', 'absent'] as const,
      default: 'ignore' as const,
    })(),
    reports: pathFlag({ description: 'folder of the reports, where they lie apart' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Convert);
    const { convertSet } = await import('../../convert/convert.ts');
    const { folder, output } = args;
    const { files, missing } = await convertSet(output, {
      ...flags,
      folder,
      layout: args.layout as (typeof LAYOUTS)[number],
      limit: flags.limit ?? null,
      reports: flags.reports ?? null,
    });
    if (missing > 0) this.log(`${missing} pictures that the tables name are not there`);
    const terms = join(output, 'README.md');
    const lines = files.map(({ path, rows }) => `${path}  ${rows} rows`);
    await this.output.tell(
      { event: 'result', command: 'convert', files, missing, terms },
      [...lines, `\nterms of the set: ${terms}`, `next: data.image_dir=${folder}`].join('\n'),
    );
  }
}
