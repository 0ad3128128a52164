/** Checked rows of a data set: their prompt, answer, images and videos, and the columns that hold these. */
import { dirname, resolve } from 'node:path';
import { guarded } from '../check/scalars.ts';
import { CxmindError } from '../errors.ts';
import { exists } from '../files.ts';

/** Columns of a data set that hold the parts of a row. */
export interface RowKeys {
  readonly promptKey: string;
  readonly answerKey: string;
  readonly imageKey: string;
  readonly videoKey: string;
}

/** Column names of a data set whose config names none. */
export const DEFAULT_KEYS: RowKeys = {
  promptKey: 'prompt',
  answerKey: 'answer',
  imageKey: 'images',
  videoKey: 'videos',
};

/** Reference answer of a row: text, or any other JSON value but null. */
export type Answer =
  | string
  | number
  | boolean
  | readonly unknown[]
  | { readonly [key: string]: unknown };

export const Answer = guarded('text, a number, a list or a mapping', (value): value is Answer => {
  if (typeof value === 'object') return value !== null && !ArrayBuffer.isView(value);
  return ['string', 'number', 'boolean'].includes(typeof value);
});

/** Text of an answer: the answer itself if it is text, its JSON otherwise. */
export function answerText(answer: Answer): string {
  return typeof answer === 'string' ? answer : JSON.stringify(answer);
}

/** Image of a row: the path or the bytes of a file. */
export type ImageReference = string | { readonly bytes: Uint8Array };

/**
 * Path of a row's image.
 *
 * @param file     path of the row's file
 * @param imageDir folder of relative paths; null looks in the working directory first, then beside the row's file
 */
export async function imagePath(
  image: string,
  file: string,
  imageDir: string | null,
): Promise<string> {
  if (imageDir !== null) return resolve(imageDir, image);
  const beside = resolve(dirname(file), image);
  return (await exists(image)) || !(await exists(beside)) ? resolve(image) : beside;
}

/** Video of a row: the path or the bytes of a file, or the list of its frames. */
export type VideoReference = ImageReference | readonly ImageReference[];

/** Roles of the turns of a conversation. */
export const roles = { system: null, user: null, assistant: null };

/** Turn of a conversation before the prompt. */
export interface Turn {
  readonly role: keyof typeof roles;
  /** Text. A user's turn has one `<image>` or `<video>` marker for each image or video. */
  readonly content: string;
}

/** Checked row of a data set. */
export interface DatasetRow {
  /** Path of the row's file. */
  readonly file: string;
  /** Name of the file in its data set. The name does not depend on where the data set lies. */
  readonly name: string;
  /** Line of a text file, or number of the row in any other file; the first is 1. */
  readonly line: number;
  /** Prompt with one `<image>` or `<video>` marker for each image or video. */
  readonly prompt: string;
  /** System turn and earlier turns; empty if the row is no conversation. */
  readonly history: readonly Turn[];
  readonly answer: Answer;
  /** Null if the row has no image column. */
  readonly images: readonly ImageReference[] | null;
  /** Null if the row has an image column, or no video column. */
  readonly videos: readonly VideoReference[] | null;
  /** All columns of the row as the file has them. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/**
 * Columns of a row as plain data for rewards. Contents of files become null: bytes, data URLs, and the field `bytes` of
 * a picture.
 */
export function columnsOf({ fields }: Pick<DatasetRow, 'fields'>): Record<string, unknown> {
  return withoutContents(fields) as Record<string, unknown>;
}

/** Beginning of a URL that holds a file in base64. */
export const DATA_URL = /^data:[^,]*;base64,/;

function withoutContents(value: unknown): unknown {
  if (typeof value === 'string') return DATA_URL.test(value) ? null : value;
  if (typeof value !== 'object' || value === null) return value;
  if (ArrayBuffer.isView(value)) return null;
  if (Array.isArray(value)) return value.map(withoutContents);
  return Object.fromEntries(
    Object.entries(value)
      // A message cannot have this key.
      .filter(([key]) => key !== '__proto__')
      .map(([key, of]) => [key, key === 'bytes' ? null : withoutContents(of)]),
  );
}

/** Pictures of a row: its images, or the frames of its videos. A video file is none. */
export function picturesOf({
  images,
  videos,
}: Pick<DatasetRow, 'images' | 'videos'>): readonly ImageReference[] {
  return images ?? (videos ?? []).flatMap((video) => (isFrames(video) ? video : []));
}

/** Tells whether a video is a list of its frames. */
export function isFrames(entry: VideoReference): entry is readonly ImageReference[] {
  return Array.isArray(entry);
}

/** Bytes that a row takes in memory, about: its text, and the files that stand in it. */
export function rowBytes({ fields, images, videos }: DatasetRow): number {
  return valueBytes(fields) + valueBytes(images) + valueBytes(videos);
}

/** Bytes of the texts and files in a value. */
export function valueBytes(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (value instanceof Uint8Array) return value.byteLength;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce((sum: number, inner) => sum + valueBytes(inner), 0);
}

/** Error of one field of a row: `train.jsonl:17: prompt: expected string, got 3`. */
export function rowError(
  row: Pick<DatasetRow, 'file' | 'line'>,
  field: string,
  reason: string,
  cause?: unknown,
): CxmindError {
  return new CxmindError('DATA_INVALID', `${row.file}:${row.line}: ${field}: ${reason}`, {
    detail: { file: row.file, line: row.line, field },
    cause,
  });
}
