import { CxmindError } from '../errors.ts';
import type { DataFile } from './source.ts';

/** A row as it stands in a file, not yet checked, or why it could not be parsed. */
export interface RawRow {
  /** Path of its file. */
  readonly file: string;
  /** What the file is called in its data set. */
  readonly name: string;
  /** Line of a text file, or place among the rows of another; from 1. */
  readonly line: number;
  readonly value: unknown;
  /** Whether the file knows no lists, so that a text stands for one. */
  readonly isText?: boolean;
  readonly problem?: CxmindError;
}

/** The error of a file that cannot be read at all. */
export function unreadable(file: string, reason: string, cause: unknown): CxmindError {
  const why = oneLine(cause instanceof Error ? cause.message : String(cause));
  return new CxmindError('DATA_INVALID', `${file}: ${reason}: ${why}`, { detail: { file }, cause });
}

/** The row of a line that could not be parsed. */
export function brokenRow(
  { path, name }: DataFile,
  line: number,
  reason: string,
  cause?: unknown,
): RawRow {
  const problem = new CxmindError('DATA_INVALID', `${path}:${line}: ${oneLine(reason)}`, {
    detail: { file: path, line },
    cause,
  });
  return { file: path, name, line, value: undefined, problem };
}

/** A reason without the line feeds and other controls that it may quote of a file. */
function oneLine(reason: string): string {
  return reason.replace(/\p{Cc}+/gu, ' ');
}
