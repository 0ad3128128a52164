/**
 * Writes a run's `status.json` once a second while the run goes on, and a last time when it ends.
 *
 * A reader finds the old file or the new one, never a part. It is not flushed to the disk: after a crash of the machine
 * the run is dead, whatever its status said. A write that fails is ignored, as the run's other files report a folder that
 * is gone or full.
 */
import { join } from 'node:path';
import type { RunStatus } from '../../src/dashboard/run-files.ts';
import { replaceFile } from '../../src/files.ts';

const BEAT_MS = 1000;

/** The status file of a run, kept up to date until it is disposed of. */
export class StatusFile implements AsyncDisposable {
  readonly #file: string;
  readonly #read: () => RunStatus;
  readonly #timer: NodeJS.Timeout;
  /** Settles when nothing is being written. */
  #pending: Promise<void> = Promise.resolve();
  #isWriting = false;

  private constructor(folder: string, read: () => RunStatus) {
    this.#file = join(folder, 'status.json');
    this.#read = read;
    this.#timer = setInterval(() => {
      if (!this.#isWriting) void this.#write();
    }, BEAT_MS).unref();
  }

  /** Writes the status for the first time, and from now on. @param read gives the status of now */
  static async begin(folder: string, read: () => RunStatus): Promise<StatusFile> {
    const file = new StatusFile(folder, read);
    await file.#write();
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#pending;
    await this.#write();
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    const text = `${JSON.stringify(this.#read())}\n`;
    this.#pending = replaceFile(this.#file, text).catch(() => undefined);
    await this.#pending;
    this.#isWriting = false;
  }
}
