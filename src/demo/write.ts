/** Writer of the whole demo: the checkpoint, the pictures, and the rows of questions about them. */
import { mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { refuseOccupied, writeDirectoryAtomically } from '../files.ts';
import { encodePng } from '../vision/encode.ts';
import { demoModelSize, writeDemoCheckpoint } from './checkpoint.ts';
import { familyFiles, type DemoModelSize } from './families.ts';
import type { DemoFamily } from './family.ts';
import { findingOf } from './findings.ts';
import { demoSample, type SampleRecipe } from './sample.ts';

/** Parts of a demo, and the number of rows that each has by default. */
const parts = {
  closedTrain: { name: 'closed-train', task: 'closed', split: 'train', rows: 896 },
  closedValidation: { name: 'closed-validation', task: 'closed', split: 'val', rows: 140 },
  openTrain: { name: 'open-train', task: 'open', split: 'train', rows: 280 },
  openValidation: { name: 'open-validation', task: 'open', split: 'val', rows: 70 },
} as const;
type PartName = keyof typeof parts;

/** Options of the demo that `cxmind init` writes. */
export interface DemoOptions {
  readonly seed: number;
  /** Family of the model; Qwen2.5-VL if absent. One without vision reads in words what pictures show. */
  readonly family?: DemoFamily;
  /** Number of rows of each part. Every row has a picture of its own. */
  readonly rows?: Readonly<Partial<Record<PartName, number>>>;
  /** Side of the pictures, pixels; one that the family does not resize if absent. */
  readonly pictureSize?: number;
  /** Number of wrong options beside the right one of a closed question; 0 gives all options, unjudged. */
  readonly closedRejections?: number;
  /** Number of false candidates that an open answer lists and rejects. */
  readonly openRejections?: number;
  readonly modelSize?: DemoModelSize;
  /** Takes the number of rows that are begun so far. */
  readonly onProgress?: (rows: number) => void;
}

/** Paths of the model and the parts of a demo. */
export type DemoPaths = Readonly<Record<'model' | PartName, string>>;

/** Paths of the model and the parts of a demo in a directory. */
export function demoPaths(directory: string): DemoPaths {
  const files = Object.entries(parts).map(
    ([part, { name }]) => [part, path.join(directory, `${name}.jsonl`)] as const,
  );
  return { model: path.join(directory, 'model'), ...Object.fromEntries(files) } as DemoPaths;
}

/** Number of rows that a demo has. */
export function demoRowCount({ rows }: Pick<DemoOptions, 'rows'>): number {
  return partsOf(rows).reduce((sum, part) => sum + part.rows, 0);
}

/** The parts of a demo, with the rows that are wanted of each. */
function partsOf(wanted: DemoOptions['rows'] = {}) {
  return (Object.keys(parts) as PartName[]).map((part) => ({
    ...parts[part],
    rows: wanted[part] ?? parts[part].rows,
  }));
}

interface Drawing extends Pick<SampleRecipe, 'seed' | 'size' | 'rejections'> {
  /** False where prompts tell in words what pictures show. */
  readonly hasPictures: boolean;
  readonly onRow: () => void;
}

/** Draws a part's pictures and writes its rows. @returns texts of its questions and answers */
async function writePart(
  directory: string,
  { name, task, split, rows }: ReturnType<typeof partsOf>[number],
  { hasPictures, onRow, ...drawing }: Drawing,
): Promise<string[]> {
  const texts: string[] = [];
  const lines: string[] = [];
  if (hasPictures) await mkdir(path.join(directory, 'images', name), { recursive: true });
  for (let index = 0; index < rows; index++) {
    onRow();
    const { prompt, answer, kinds, picture } = demoSample({ ...drawing, split, task, index });
    const image = `images/${name}/${String(index).padStart(5, '0')}.png`;
    if (hasPictures) await writeFile(path.join(directory, image), await encodePng(picture));
    const shown = kinds.map((kind) => findingOf(kind).present).join(' ');
    const told = hasPictures ? prompt : prompt.replace('<image>', `${shown}\n`);
    const images = hasPictures ? { images: [image] } : {};
    lines.push(`${JSON.stringify({ prompt: told, answer, ...images, findings: kinds })}\n`);
    texts.push(told.replaceAll('<image>', ''), answer);
  }
  await writeFile(path.join(directory, `${name}.jsonl`), lines.join(''));
  return texts;
}

/** Words that the chat template adds around every prompt. */
const chatWords = ['system\nYou are a helpful assistant.\n', 'user\n', 'assistant\n'];

/**
 * Writes the demo: a small model with random weights, drawn chest pictures, and closed and open questions about
 * them. Each kind of question has a training and a validation part that share no picture.
 *
 * Image paths in the rows are relative to the directory. Equal options give equal bytes. The directory appears whole or
 * not at all.
 *
 * @throws CONFIG_INVALID as `refuseOccupied`
 */
export async function writeDemo(directory: string, options: DemoOptions): Promise<DemoPaths> {
  const { seed, family = 'qwen2.5-vl', modelSize = demoModelSize } = options;
  const files = familyFiles[family];
  const { pictureSize = files.pictureSize, closedRejections = 0, openRejections = 2 } = options;
  await refuseOccupied(directory);
  let written = 0;
  const drawing = {
    ...{ seed, size: pictureSize, hasPictures: files.preprocessor !== null },
    onRow: () => options.onProgress?.(++written),
  };
  const rejections = { closed: closedRejections, open: openRejections };
  await writeDirectoryAtomically(directory, async (partial) => {
    const texts: string[] = [];
    for (const part of partsOf(options.rows)) {
      const drawn = { ...drawing, rejections: rejections[part.task] };
      const own = await writePart(partial, part, drawn);
      if (part.split === 'train') for (const text of own) texts.push(text, ...chatWords);
    }
    const model = demoPaths(partial).model;
    await writeDemoCheckpoint(model, { seed, family, size: modelSize, texts });
  });
  return demoPaths(directory);
}
