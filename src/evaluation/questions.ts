/** Questions of an evaluation, made from the rows of a data set, and written as such rows. */
import { basename } from 'node:path';
import {
  answerText,
  imagePath,
  type Answer,
  type Turn,
  type DatasetRow,
  type ImageReference,
} from '../data/row.ts';
import type { Task } from './task.ts';

const MARKER = '<image>';

/** Instructions that ask for a chain where the records do not. */
const instructions: Readonly<Record<Task, string>> = {
  closed:
    'Go through the options one after the other: think about each between <think> and </think>, judge it between ' +
    '<answer> and </answer> with ✅ or ❌, and let thinking and judging take turns. Then sum up and give the final option.',
  open:
    'First list the findings that are possible, then judge them one by one, then sum up. Reason step by step between ' +
    '<think> and </think>, answer between <answer> and </answer>, and let both take turns until the final answer.',
};

/** A question as it is asked, with the record it comes from. */
export interface Question {
  readonly record: Readonly<Record<string, unknown>>;
  /** The file that it comes from. */
  readonly file: string;
  readonly prompt: string;
  /** Turns before the prompt. */
  readonly history: readonly Turn[];
  /** Text of the reference answer. */
  readonly gold: string;
  /** The reference answer as rewards get it. */
  readonly answer: Answer;
  /** Absolute paths, or bytes. */
  readonly images: readonly ImageReference[];
}

/**
 * The questions of a data set: the first ones of each file.
 *
 * Records with `messages`, the form of the released scripts, get the task's instruction behind their text, unless
 * their `images` is null. Other rows are asked as they are.
 *
 * @param options.limit    questions of each file; null for all
 * @param options.imageDir value of `data.image_dir`
 */
export async function questionsOf(
  rows: readonly DatasetRow[],
  options: { readonly task: Task; readonly limit: number | null; readonly imageDir: string | null },
): Promise<Question[]> {
  const taken = new Map<string, number>();
  const questions: Question[] = [];
  for (const row of rows) {
    const count = (taken.get(row.file) ?? 0) + 1;
    taken.set(row.file, count);
    if (options.limit !== null && count > options.limit) continue;
    const hasInstruction = 'messages' in row.fields && row.fields['images'] !== null;
    questions.push({
      record: row.fields,
      file: basename(row.file),
      prompt: hasInstruction ? `${row.prompt}\n${instructions[options.task]}` : row.prompt,
      history: row.history,
      gold: answerText(row.answer),
      answer: row.answer,
      images: await Promise.all(
        (row.images ?? []).map(async (image) =>
          typeof image === 'string' ? imagePath(image, row.file, options.imageDir) : image,
        ),
      ),
    });
  }
  return questions;
}

/** A line of the data set that the questions make: prompt or conversation, answer and images. */
export function questionLine({ prompt, history, answer, images }: Question): string {
  const entries = images.map((image) =>
    typeof image === 'string' ? image : { bytes: Buffer.from(image.bytes).toString('base64') },
  );
  const hasMarkers = prompt.includes(MARKER) || images.length > 0;
  const asked =
    history.length === 0
      ? { prompt }
      : { messages: [...history, { role: 'user', content: prompt }] };
  return JSON.stringify({ ...asked, answer, ...(hasMarkers && { images: entries }) });
}
