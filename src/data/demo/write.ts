import { mkdir, readdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { CxmindError } from '../../errors.ts';
import { writeDirectoryAtomically } from '../../files.ts';
import { keyOf, Rng } from '../../rng.ts';
import { encodePng } from '../../vision/encode-png.ts';
import { demoModelSize, writeDemoCheckpoint, type DemoModelSize } from './checkpoint.ts';
import { drawChest } from './draw.ts';
import { findings, type FindingKind } from './findings.ts';
import { closedQuestion, openQuestion, type Question } from './questions.ts';

export interface DemoOptions {
  readonly seed: number;
  /** Rows of each task's training part; every row has a picture of its own. */
  readonly trainRows?: number;
  readonly validationRows?: number;
  /** Side of the pictures, pixels; a multiple of 28 is not resized. */
  readonly pictureSize?: number;
  /** Most wrong options that a closed answer rejects before it affirms the right one. */
  readonly maxRejections?: number;
  readonly modelSize?: DemoModelSize;
}

/** Where the parts of a demo lie. */
export interface DemoPaths {
  readonly model: string;
  readonly closedTrain: string;
  readonly closedValidation: string;
  readonly openTrain: string;
  readonly openValidation: string;
}

/** The parts of a demo directory. */
export function demoPaths(directory: string): DemoPaths {
  return {
    model: path.join(directory, 'model'),
    closedTrain: path.join(directory, 'closed-train.jsonl'),
    closedValidation: path.join(directory, 'closed-validation.jsonl'),
    openTrain: path.join(directory, 'open-train.jsonl'),
    openValidation: path.join(directory, 'open-validation.jsonl'),
  };
}

interface Part {
  readonly task: 'closed' | 'open';
  readonly split: 'train' | 'validation';
  readonly rows: number;
}

/** What a row shows and asks. */
interface Exercise {
  readonly kinds: readonly FindingKind[];
  readonly question: Question;
}

function closedExercise(row: number, maxRejections: number, rng: Rng): Exercise {
  // Findings take turns, so that every stretch of rows is balanced.
  const { kind } = findings[row % findings.length]!;
  return { kinds: [kind], question: closedQuestion(kind, rng.nextBelow(maxRejections + 1), rng) };
}

function openExercise(row: number, rng: Rng): Exercise {
  const first = findings[row % findings.length]!.kind;
  const others = findings
    .map(({ kind }) => kind)
    .filter((kind) => kind !== 'normal' && kind !== first);
  const hasSecond = first !== 'normal' && rng.nextBelow(2) === 0;
  const kinds = hasSecond ? [first, others[rng.nextBelow(others.length)]!] : [first];
  return { kinds, question: openQuestion(kinds, 2, rng) };
}

/** Draws a part's pictures and writes its rows; returns the texts of its questions. */
async function writePart(
  directory: string,
  { task, split, rows }: Part,
  options: { seed: number; pictureSize: number; maxRejections: number },
): Promise<string[]> {
  const name = `${task}-${split}`;
  const texts: string[] = [];
  const lines: string[] = [];
  await mkdir(path.join(directory, 'images', name), { recursive: true });
  for (let row = 0; row < rows; row++) {
    const rng = new Rng(keyOf('demo', options.seed, name, row));
    const { kinds, question } =
      task === 'closed' ? closedExercise(row, options.maxRejections, rng) : openExercise(row, rng);
    const image = `images/${name}/${String(row).padStart(5, '0')}.png`;
    const picture = drawChest(kinds, options.pictureSize, rng);
    await writeFile(path.join(directory, image), await encodePng(picture));
    lines.push(`${JSON.stringify({ ...question, images: [image], findings: kinds })}\n`);
    texts.push(question.prompt.replaceAll('<image>', ''), question.answer);
  }
  await writeFile(path.join(directory, `${name}.jsonl`), lines.join(''));
  return texts;
}

/** The words a chat template adds around every prompt. */
const chatWords = ['system\nYou are a helpful assistant.\n', 'user\n', 'assistant\n'];

async function isOccupied(directory: string): Promise<boolean> {
  return readdir(directory).then(
    (names) => names.length > 0,
    (error: unknown) => !(error instanceof Error && 'code' in error && error.code === 'ENOENT'),
  );
}

/**
 * Writes the demo: a small Qwen2.5-VL with random weights, drawn chest pictures, and closed and open
 * questions about them, each with a training and a validation part that share no picture.
 *
 * Image paths in the rows are relative to the directory. The same options give the same bytes.
 * Atomic: the directory appears whole or not at all.
 *
 * @throws CONFIG_INVALID when the directory exists and is not empty
 */
export async function writeDemo(directory: string, options: DemoOptions): Promise<DemoPaths> {
  const {
    seed,
    trainRows = 2048,
    validationRows = 140,
    pictureSize = 112,
    maxRejections = 0,
    modelSize = demoModelSize,
  } = options;
  if (await isOccupied(directory)) {
    throw new CxmindError('CONFIG_INVALID', `${directory} exists and is not an empty directory`, {
      detail: { directory },
    });
  }
  const parts: Part[] = (['closed', 'open'] as const).flatMap((task) => [
    { task, split: 'train', rows: trainRows },
    { task, split: 'validation', rows: validationRows },
  ]);
  await writeDirectoryAtomically(directory, async (partial) => {
    const texts: string[] = [];
    for (const part of parts) {
      const written = await writePart(partial, part, { seed, pictureSize, maxRejections });
      if (part.split !== 'train') continue;
      for (const text of written) texts.push(text, ...chatWords);
    }
    const model = demoPaths(partial).model;
    await writeDemoCheckpoint(model, { seed, size: modelSize, texts });
  });
  return demoPaths(directory);
}
