/** Skipped rows that are named; after them a line says that there are more. */
const NAMED = 5;

/** Notes on a run's data, a line each, kept until they are taken. Lines stay few, however many rows they are about. */
export class DataNotes {
  readonly #maxPromptLength: number;
  readonly #lines: string[] = [];
  readonly #cut = new Set<string>();
  #skipped = 0;
  #cutTold = 0;

  constructor(maxPromptLength: number) {
    this.#maxPromptLength = maxPromptLength;
  }

  add(line: string): void {
    this.#lines.push(line);
  }

  /** Notes the reason why a row was skipped. */
  skipped(reason: string): void {
    this.#skipped++;
    if (this.#skipped <= NAMED) this.add(`row skipped: ${reason}`);
    if (this.#skipped === NAMED + 1) this.add('more rows are skipped; the log names them');
  }

  /** Notes a row whose prompt was cut at its end; each is counted once. */
  cut(row: string): void {
    this.#cut.add(row);
  }

  /** Takes the lines since the last call. The number of cut prompts is a line whenever it has doubled. */
  taken(): string[] {
    if (this.#cut.size > 0 && this.#cut.size >= 2 * this.#cutTold) {
      this.#cutTold = this.#cut.size;
      const [first] = this.#cut;
      this.add(
        `prompts cut so far to data.max_prompt_length = ${this.#maxPromptLength}: ${this.#cut.size}, the first ` +
          `being ${first}; raise it, or leave them out with data.filter_overlong_prompts=true`,
      );
    }
    return this.#lines.splice(0);
  }
}
