import { readable } from '../../src/printable.ts';

/** Longest line that waits for its end, in characters. A longer one is cut. */
const longest = 1 << 16;

/**
 * Output of a process, which is written in whole lines with a prefix, so that lines of several never mix.
 *
 * Node's readline would keep a line that never ends in memory, and is not used.
 */
export class PrefixedLines {
  readonly #prefix: string;
  readonly #write: (text: string) => void;
  readonly #onLine: (line: string) => void;
  readonly #decoder = new TextDecoder();
  #rest = '';

  /** @param onLine hears of each line, without the prefix */
  constructor(prefix: string, write: (text: string) => void, onLine: (line: string) => void) {
    this.#prefix = prefix;
    this.#write = write;
    this.#onLine = onLine;
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
    for (const line of lines) this.#onLine(line);
    this.#write(lines.map((line) => `${this.#prefix}${readable(line)}\n`).join(''));
  }
}
