import type {
  Phase,
  Reporter,
  StepLine,
  SupervisedLine,
} from '../../../actors/trainer/report/reporter.ts';
import { noteTo, type Output } from './output.ts';
import { Progress } from './progress.ts';
import type { StatusLine } from './status-line.ts';
import { supervisedColumns, tableLines, trainingColumns } from './step-table.ts';

const HEADING_EVERY = 20;

/** Display of a run for people: a line of a table for each step, and below them how far the run is. */
export class TextReporter implements Reporter, Disposable {
  readonly #output: Output;
  readonly #progress = new Progress();
  readonly #status: Disposable | null;
  #lines = 0;
  #heading = '';

  constructor(output: Output, status: StatusLine) {
    this.#output = output;
    this.#status =
      output.level === 'quiet'
        ? null
        : status.show((width) => this.#progress.line(width, performance.now()));
  }

  phase(phase: Phase): Disposable {
    const startedMs = performance.now();
    const shown = this.#progress.begin(phase, startedMs);
    return {
      [Symbol.dispose]: () => {
        shown[Symbol.dispose]();
        const seconds = ((performance.now() - startedMs) / 1000).toFixed(2);
        this.#output.detail(`  ${phase.name}: ${phase.done()}/${phase.total} in ${seconds} s`);
      },
    };
  }

  step(line: StepLine): void {
    this.#progress.take(line, performance.now());
    this.#show(tableLines(trainingColumns, line, this.#output.columns));
  }

  supervisedStep(line: SupervisedLine): void {
    this.#progress.take(line, performance.now());
    this.#show(tableLines(supervisedColumns, line, this.#output.columns));
  }

  note(text: string): void {
    noteTo(this.#output, text);
  }

  [Symbol.dispose](): void {
    this.#status?.[Symbol.dispose]();
  }

  #show({ heading, cells }: ReturnType<typeof tableLines>): void {
    if (this.#lines % HEADING_EVERY === 0 || heading !== this.#heading) {
      this.#output.say(heading, (text, { strong }) => strong(text));
    }
    this.#heading = heading;
    this.#lines++;
    this.#output.say(cells, (text, { bad }) => text.replace(/\bNaN\b|-?\binf\b/g, bad));
  }
}
