/** The files with the samples of one kind, which are read into an index as they grow. */
import { readFileSync, statSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { Turns } from '../../turns.ts';
import { LineTail, wholeLines } from './line-tail.ts';
import { SampleIndex } from './sample-index.ts';
import { headOf, type LineForm } from './sample-record.ts';

/** Files of samples, and the index of their lines. */
export interface SampleFiles {
  readonly index: SampleIndex;
  readonly form: LineForm;
  /** Rises when there are other samples than before. */
  readonly version: number;
  /** Reads the lines that have come since the last call. */
  refresh(): Promise<void>;
}

/** One file with the samples of all steps. */
export class SampleFile extends LineTail implements SampleFiles {
  readonly form: LineForm;
  index = new SampleIndex();

  constructor(file: string, form: LineForm) {
    super(file);
    this.form = form;
  }

  protected override take(line: Buffer, offset: number): void {
    const head = headOf(this.form, line);
    if (head !== null) this.index.add(head, { file: this.file, offset, length: line.length });
  }

  protected override forget(): void {
    this.index = new SampleIndex();
  }
}

/** Time for which files are read before the event loop gets a turn, in which other requests are answered. */
const SLICE_MS = 20;
const NAME = /^(\d+)\.jsonl$/;

/**
 * A folder with one file for each step, `STEP.jsonl`.
 *
 * A file appears whole and does not change, unless a resumed run takes its step again and replaces it.
 */
export class SampleFolder implements SampleFiles {
  readonly form = 'record';
  readonly index = new SampleIndex();
  readonly #folder: string;
  /** Identities of the files that were read, by step. */
  readonly #read = new Map<number, string>();
  readonly #turns = new Turns();
  /** Time at which the folder last changed. */
  #changed = -1;
  #version = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get version(): number {
    return this.#version;
  }

  refresh(): Promise<void> {
    return this.#turns.run(() => this.#refresh());
  }

  async #refresh(): Promise<void> {
    const changed = (await stat(this.#folder).catch(() => null))?.mtimeMs ?? -1;
    if (changed === this.#changed) return;
    const names = await readdir(this.#folder).catch((): string[] => []);
    const steps = names.flatMap((name) => NAME.exec(name)?.[1] ?? []).map(Number);
    const isRewound = this.#rewind();
    const fresh = steps.filter((step) => !this.#read.has(step)).sort((a, b) => a - b);
    // Waiting for each of very many small files takes ten times as long as reading them.
    let until = performance.now() + SLICE_MS;
    for (const step of fresh) {
      this.#take(step);
      if (performance.now() < until) continue;
      await turn();
      until = performance.now() + SLICE_MS;
    }
    this.#changed = changed;
    if (isRewound || fresh.length > 0) this.#version++;
  }

  /** Drops the newest steps whose files are no longer those that were read. */
  #rewind(): boolean {
    let first: number | null = null;
    for (const step of [...this.#read.keys()].sort((a, b) => b - a)) {
      if (identityOf(this.#fileOf(step)) === this.#read.get(step)) break;
      this.#read.delete(step);
      first = step;
    }
    if (first !== null) this.index.dropFrom(first);
    return first !== null;
  }

  #take(step: number): void {
    const file = this.#fileOf(step);
    const identity = identityOf(file);
    if (identity === null) return;
    for (const { text, offset } of wholeLines(readFileSync(file), 0)) {
      const head = headOf(this.form, text);
      if (head?.step === step) this.index.add(head, { file, offset, length: text.length });
    }
    this.#read.set(step, identity);
  }

  #fileOf(step: number): string {
    return join(this.#folder, `${step}.jsonl`);
  }
}

function identityOf(file: string): string | null {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? null : `${found.ino}:${found.size}:${found.mtimeMs}`;
}
