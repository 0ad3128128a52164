import { clearLine, cursorTo } from 'node:readline';

const REDRAW_MS = 100;

/** The last line of a terminal, which stays below all other output. A stream that is no terminal has none. */
export class StatusLine {
  readonly #out: NodeJS.WriteStream;
  #draw: ((columns: number) => string) | null = null;
  #isDrawn = false;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /**
   * Shows the line until disposed of.
   *
   * @param textOf gives the text for a number of columns, which it may fill all but one; an empty one is not drawn
   */
  show(textOf: (columns: number) => string): Disposable {
    if (!this.#out.isTTY || this.#draw !== null) return { [Symbol.dispose]: () => undefined };
    this.#draw = textOf;
    const clear = (): void => this.#clear();
    const timer = setInterval(() => this.above(() => undefined), REDRAW_MS);
    timer.unref();
    // A process that is ended by a signal leaves the line to its shell.
    process.once('exit', clear);
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer);
        process.off('exit', clear);
        clear();
        this.#draw = null;
      },
    };
  }

  /** Writes whole lines above the line. */
  above(write: () => void): void {
    this.#clear();
    write();
    const text = this.#draw?.(this.#out.columns) ?? '';
    if (text === '') return;
    this.#out.write(text);
    this.#isDrawn = true;
  }

  #clear(): void {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    cursorTo(this.#out, 0);
    clearLine(this.#out, 0);
  }
}
