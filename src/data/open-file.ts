import type { FileHandle } from 'node:fs/promises';
import { openToRead } from '../files.ts';
import { unreadable } from './raw-row.ts';

const CHUNK_BYTES = 2 ** 18;

/**
 * Opens a data file.
 *
 * @throws DATA_INVALID when it is missing, or no regular file
 */
export async function openDataFile(file: string): Promise<FileHandle> {
  return openToRead(file).catch((cause: unknown) => {
    throw unreadable(file, 'cannot be read', cause);
  });
}

/** The bytes of a file from `start` on; unlike a stream's, its handle stays open however far it is read. */
export async function* chunksOf(handle: FileHandle, start = 0): AsyncGenerator<Buffer> {
  for (let at = start; ;) {
    const { buffer, bytesRead } = await handle.read(
      Buffer.allocUnsafe(CHUNK_BYTES),
      0,
      CHUNK_BYTES,
      at,
    );
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}
