/** Rows before they are checked, and what the readers of all formats share: opening files, chunks of bytes, errors. */
import type { FileHandle } from 'node:fs/promises';
import { CxmindError, messageOf } from '../errors.ts';
import { openToRead } from '../files.ts';
import type { DataFile } from './source.ts';

/** Row as its file has it, not yet checked, or the reason why it could not be parsed. */
export interface RawRow {
  /** Path of the row's file. */
  readonly file: string;
  /** Name of the file in its data set. */
  readonly name: string;
  /** Line of a text file, or number of the row in any other file; the first is 1. */
  readonly line: number;
  readonly value: unknown;
  /** Set if the format has no lists, so that one cell of text stands for a list. */
  readonly isText?: boolean;
  readonly problem?: CxmindError;
  /** Place of a line of JSON Lines in its file. */
  readonly range?: ByteRange;
  /** Place of a row in a Parquet file. */
  readonly place?: GroupPlace;
}

/** Row group of a Parquet file, and number of a row in it, both from 0. */
export interface GroupPlace {
  readonly group: number;
  readonly row: number;
}

/** Bytes of a file. */
export interface ByteRange {
  readonly start: number;
  readonly bytes: number;
}

/** Largest decompressed page of a Parquet file, or column of an Arrow batch, in bytes. */
export const MAX_BUFFER_BYTES = 2 ** 30;

/** Bytes read from a file at a time. */
const CHUNK_BYTES = 2 ** 18;

/**
 * Opens a data file.
 *
 * @throws DATA_INVALID if it is missing or not a regular file
 */
export async function openDataFile(file: string): Promise<FileHandle> {
  return openToRead(file).catch((cause: unknown) => {
    throw unreadable(file, 'cannot be read', cause);
  });
}

/** Bytes of a file from `start` on. The handle stays open; a stream would close it at its end. */
export async function* chunksOf(handle: FileHandle, start = 0): AsyncGenerator<Buffer> {
  for (let at = start; ;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, at);
    if (bytesRead === 0) return;
    yield chunk.subarray(0, bytesRead);
    at += bytesRead;
  }
}

/** Error of a file that cannot be read as a whole. */
export function unreadable(file: string, reason: string, cause: unknown): CxmindError {
  const why = oneLine(messageOf(cause));
  return new CxmindError('DATA_INVALID', `${file}: ${reason}: ${why}`, { detail: { file }, cause });
}

/** Row of a line that could not be parsed. */
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

/** Reason without line feeds and other controls. A reason may quote the file, which may hold any. */
function oneLine(reason: string): string {
  return reason.replace(/\p{Cc}+/gu, ' ');
}
