import { mkdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { refuseOccupied, writeDirectoryAtomically } from '../files.ts';
import { encodePng } from '../vision/encode.ts';
import { demoModelSize, writeDemoCheckpoint } from './checkpoint.ts';
import { familyFiles, type DemoModelSize } from './families.ts';
import type { DemoFamily } from './family.ts';
import { findingOf } from './findings.ts';
import { demoSample } from './sample.ts';

/** Numbers of rows of the parts of a demo. */
interface DemoRows {
  readonly closedTrain: number;
  readonly closedValidation: number;
  readonly openTrain: number;
  readonly openValidation: number;
}

/** Options of the demo that `cxmind init` writes. */
export interface DemoOptions {
  readonly seed: number;
  /** Family of the model; Qwen2.5-VL if absent. One without vision reads in words what pictures show. */
  readonly family?: DemoFamily;
  /** Number of rows of each part. Every row has a picture of its own. */
  readonly rows?: Partial<DemoRows>;
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

/** Paths of the parts of a demo. */
export interface DemoPaths {
  readonly model: string;
  readonly closedTrain: string;
  readonly closedValidation: string;
  readonly openTrain: string;
  readonly openValidation: string;
}

/** Paths of the parts of a demo in a directory. */
export function demoPaths(directory: string): DemoPaths {
  return {
    model: path.join(directory, 'model'),
    closedTrain: path.join(directory, 'closed-train.jsonl'),
    closedValidation: path.join(directory, 'closed-validation.jsonl'),
    openTrain: path.join(directory, 'open-train.jsonl'),
    openValidation: path.join(directory, 'open-validation.jsonl'),
  };
}

const defaultRows: DemoRows = {
  closedTrain: 896,
  closedValidation: 140,
  openTrain: 280,
  openValidation: 70,
};

/** Number of rows that a demo has. */
export function demoRowCount({ rows }: Pick<DemoOptions, 'rows'>): number {
  return Object.values({ ...defaultRows, ...rows }).reduce((sum, count) => sum + count);
}

interface Part {
  readonly task: 'closed' | 'open';
  readonly split: 'train' | 'val';
  readonly rows: number;
  readonly seed: number;
  readonly pictureSize: number;
  readonly rejections: number;
  /** False where prompts tell in words what pictures show. */
  readonly hasPictures: boolean;
  readonly onRow: () => void;
}

/** Draws a part's pictures and writes its rows. @returns texts of its questions and answers */
async function writePart(directory: string, part: Part): Promise<string[]> {
  const { task, split, rows, seed, pictureSize: size, rejections, hasPictures, onRow } = part;
  const name = `${task}-${split === 'val' ? 'validation' : split}`;
  const texts: string[] = [];
  const lines: string[] = [];
  if (hasPictures) await mkdir(path.join(directory, 'images', name), { recursive: true });
  for (let index = 0; index < rows; index++) {
    onRow();
    const recipe = { seed, split, task, index, size, rejections };
    const { prompt, answer, kinds, picture } = demoSample(recipe);
    if (hasPictures) {
      const image = `images/${name}/${String(index).padStart(5, '0')}.png`;
      await writeFile(path.join(directory, image), await encodePng(picture));
      lines.push(`${JSON.stringify({ prompt, answer, images: [image], findings: kinds })}\n`);
      texts.push(prompt.replaceAll('<image>', ''), answer);
      continue;
    }
    const shown = kinds.map((kind) => findingOf(kind).present).join(' ');
    const told = prompt.replace('<image>', `${shown}\n`);
    lines.push(`${JSON.stringify({ prompt: told, answer, findings: kinds })}\n`);
    texts.push(told, answer);
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
  const { pictureSize = files.pictureSize } = options;
  await refuseOccupied(directory);
  const rows = { ...defaultRows, ...options.rows };
  let written = 0;
  const onRow = (): void => options.onProgress?.(++written);
  const drawn = { seed, pictureSize, hasPictures: files.preprocessor !== null, onRow };
  const closed = { ...drawn, task: 'closed', rejections: options.closedRejections ?? 0 } as const;
  const open = { ...drawn, task: 'open', rejections: options.openRejections ?? 2 } as const;
  await writeDirectoryAtomically(directory, async (partial) => {
    const texts: string[] = [];
    for (const text of [
      ...(await writePart(partial, { ...closed, split: 'train', rows: rows.closedTrain })),
      ...(await writePart(partial, { ...open, split: 'train', rows: rows.openTrain })),
    ]) {
      texts.push(text, ...chatWords);
    }
    await writePart(partial, { ...closed, split: 'val', rows: rows.closedValidation });
    await writePart(partial, { ...open, split: 'val', rows: rows.openValidation });
    const model = demoPaths(partial).model;
    await writeDemoCheckpoint(model, { seed, family, size: modelSize, texts });
  });
  return demoPaths(directory);
}
