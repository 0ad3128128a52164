import { readable } from '../../src/printable.ts';

/** Longest line that waits for its end, in characters. A longer one is cut. */
const longest = 1 << 16;

/** Last lines of some output, for the report on a failure. */
export class LastLines {
  readonly #limit: number;
  readonly #lines: string[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > this.#limit) this.#lines.shift();
  }

  get lines(): readonly string[] {
    return this.#lines;
  }
}

/** Output of a process, which is written in whole lines with a prefix, so that lines of several never mix. */
export class PrefixedLines {
  readonly #prefix: string;
  readonly #write: (text: string) => void;
  readonly #last: LastLines;
  readonly #decoder = new TextDecoder();
  #rest = '';

  constructor(prefix: string, write: (text: string) => void, last: LastLines) {
    this.#prefix = prefix;
    this.#write = write;
    this.#last = last;
  }

  /** Takes output as it comes. An unfinished line waits. */
  push(bytes: Uint8Array): void {
    this.#take(this.#decoder.decode(bytes, { stream: true }));
    if (this.#rest.length > longest) this.end();
  }

  /** Writes the unfinished last line. */
  end(): void {
    this.#take(this.#decoder.decode());
    if (this.#rest !== '') this.#take('\n');
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    if (lines.length === 0) return;
    for (const line of lines) this.#last.add(line);
    this.#write(lines.map((line) => `${this.#prefix}${readable(line)}\n`).join(''));
  }
}
