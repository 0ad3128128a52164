/**
 * Conversion of a public set of chest radiographs to rows of closed and open questions.
 *
 * Nothing is downloaded, and no picture is copied: rows name pictures by their path in the set's folder, which
 * `data.image_dir` gives. Equal folders, options and seeds give equal bytes.
 */
import { createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CxmindError } from '../errors.ts';
import { exists, readText, refuseOccupied, writeDirectoryAtomically } from '../files.ts';
import { keyOf, Rng } from '../rng.ts';
import { chexpert } from './chexpert.ts';
import type { LabelledPicture, SetFolders, SetLayout, Verdict } from './layout.ts';
import { mimicCxr } from './mimic-cxr.ts';
import { nih } from './nih.ts';
import {
  closedQuestion,
  openQuestion,
  type ChainQuestion,
  type PictureFacts,
} from './questions.ts';
import { sentencesOf } from './report.ts';

/** Sets that are converted, by the name on the command line. */
const layouts = { chexpert, nih, 'mimic-cxr-jpg': mimicCxr } as const satisfies Record<
  string,
  SetLayout
>;
type LayoutName = keyof typeof layouts;

/** Readings of an uncertain label: U-Ignore, U-Ones and U-Zeros of Irvin et al. (arXiv:1901.07031). */
type Uncertain = 'ignore' | 'present' | 'absent';

/** Options of a conversion. */
export interface ConvertOptions extends SetFolders {
  readonly layout: LayoutName;
  readonly seed: number;
  /** Options of a closed question, 2 to 7. */
  readonly options: number;
  /** Absent findings that an open answer rejects. */
  readonly distractors: number;
  /** Most pictures of a part, drawn by the seed; null takes all. */
  readonly limit: number | null;
  /** Set to take lateral pictures too. The labels are those of a study, and may not show there. */
  readonly lateral: boolean;
  readonly uncertain: Uncertain;
}

/** File of rows that was written. */
interface WrittenRows {
  readonly path: string;
  readonly rows: number;
}

/** Result of a conversion. */
export interface Converted {
  readonly files: readonly WrittenRows[];
  /** Pictures that the tables name and the folder does not have. */
  readonly missing: number;
}

const MOST_REPORT_BYTES = 2 ** 20;

/**
 * Writes rows of questions about a set, a file for each kind of question and part of the set, and a note on its licence.
 *
 * @throws CONFIG_INVALID as `refuseOccupied`; DATA_INVALID if the folder has not the set's layout
 */
export async function convertSet(directory: string, options: ConvertOptions): Promise<Converted> {
  await refuseOccupied(directory);
  const parts = await partsOf(options);
  const files: WrittenRows[] = [];
  let missing = 0;
  await writeDirectoryAtomically(directory, async (partial) => {
    for (const [split, pictures] of parts) {
      const there = await presentOf(drawnOf(pictures, split, options), options.folder);
      missing += there.missing;
      for (const task of ['closed', 'open'] as const) {
        const name = `${task}-${split}.jsonl`;
        let rows = 0;
        const lines = linesOf(task, there.pictures, options, () => rows++);
        await pipeline(Readable.from(lines), createWriteStream(join(partial, name)));
        files.push({ path: join(directory, name), rows });
      }
    }
    if (files.every(({ rows }) => rows === 0)) {
      throw new CxmindError(
        'DATA_INVALID',
        `${options.folder}: no row comes of it; ${missing} pictures that its tables name are not there`,
      );
    }
    await writeFile(join(partial, 'README.md'), noteOf(options, files));
  });
  return { files, missing };
}

/** Pictures of each part of the set that questions are made of. */
async function partsOf(options: ConvertOptions): Promise<Map<string, LabelledPicture[]>> {
  const wanted: LabelledPicture[] = [];
  for await (const picture of layouts[options.layout].pictures(options)) {
    if (!picture.isFrontal && !options.lateral) continue;
    wanted.push(picture);
  }
  return Map.groupBy(wanted, ({ split }) => split);
}

/** Pictures that are drawn by the seed, in the order of the set. */
function drawnOf(
  pictures: readonly LabelledPicture[],
  split: string,
  { limit, seed, layout }: ConvertOptions,
): readonly LabelledPicture[] {
  if (limit === null || limit >= pictures.length) return pictures;
  const rng = new Rng(keyOf('convert', layout, seed, split));
  const places = Uint32Array.from(pictures.keys());
  for (let i = 0; i < limit; i++) {
    const other = i + rng.nextBelow(places.length - i);
    [places[i], places[other]] = [places[other]!, places[i]!];
  }
  return Array.from(places.subarray(0, limit).sort(), (place) => pictures[place]!);
}

async function presentOf(
  pictures: readonly LabelledPicture[],
  folder: string,
): Promise<{ pictures: LabelledPicture[]; missing: number }> {
  const there: LabelledPicture[] = [];
  for (const picture of pictures) {
    if (await exists(join(folder, picture.image))) there.push(picture);
  }
  return { pictures: there, missing: pictures.length - there.length };
}

/** Lines of a file of rows. A picture whose labels make no question has none. */
async function* linesOf(
  task: 'closed' | 'open',
  pictures: readonly LabelledPicture[],
  options: ConvertOptions,
  count: () => void,
): AsyncGenerator<string> {
  const { layout, seed } = options;
  const { findings } = layouts[layout];
  for (const picture of pictures) {
    const facts = await factsOf(picture, options);
    const rng = new Rng(keyOf('convert', layout, seed, task, picture.image));
    const question: ChainQuestion | null =
      task === 'closed'
        ? closedQuestion(facts, findings, options.options, rng)
        : openQuestion(facts, findings, options.distractors, rng);
    if (question === null) continue;
    count();
    const { image } = picture;
    const row = { ...question, images: [image], findings: facts.present, source: layout };
    yield `${JSON.stringify(row)}\n`;
  }
}

async function factsOf(
  { verdicts, report }: LabelledPicture,
  { uncertain }: ConvertOptions,
): Promise<PictureFacts> {
  const present: string[] = [];
  const absent: string[] = [];
  for (const [finding, verdict] of Object.entries(verdicts)) {
    const read: Verdict | Uncertain = verdict === 'uncertain' ? uncertain : verdict;
    if (read === 'present') present.push(finding);
    // A report that does not mention a finding is read as one that rejects it.
    else if (read === 'absent' || read === 'unmentioned') absent.push(finding);
  }
  const hasReport = report !== null && (await exists(report));
  const sentences = hasReport ? sentencesOf(await readText(report, MOST_REPORT_BYTES)) : [];
  return { present, absent, sentences };
}

/** Note on where rows come from and what may be done with them. */
function noteOf(options: ConvertOptions, files: readonly WrittenRows[]): string {
  const { title, licence } = layouts[options.layout];
  const { seed, options: letters, distractors, limit, lateral, uncertain } = options;
  const rows = files.map((file) => `- ${basename(file.path)}: ${file.rows} rows`);
  return [
    `# Questions about ${title}`,
    `Made by \`cxmind convert ${options.layout}\` of the set's labels, with the seed ${seed}: ${letters} options, ` +
      `${distractors} distractors, ${limit === null ? 'all' : `at most ${limit}`} pictures of a part, ` +
      `${lateral ? 'frontal and lateral' : 'frontal'}; an uncertain label is read as ${uncertain}.`,
    rows.join('\n'),
    `The rows come under the terms of the set:\n\n> ${licence}`,
    'Labels were read from reports by programs and have errors. Thoughts are sentences of the report where it has one ' +
      'about the finding, else of a fixed form; no physician wrote or read these chains.',
    '',
  ].join('\n\n');
}
