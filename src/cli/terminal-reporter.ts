import { SingleBar } from 'cli-progress';
import type {
  Phase,
  Reporter,
  StepLine,
  SupervisedLine,
} from '../../actors/trainer/report/reporter.ts';
import { readable } from '../printable.ts';
import { supervisedColumns, tableLines, trainingColumns } from './step-table.ts';

const HEADING_EVERY = 20;
const REDRAW_MS = 100;
/** Characters of a bar's line that are not the bar. */
const BESIDE_BAR = 42;

/**
 * Reporter with a progress bar per phase and a table line per step; without a terminal, only the lines. Of phases that
 * run beside each other the first has the bar.
 */
export class TerminalReporter implements Reporter {
  readonly #out: NodeJS.WriteStream;
  #lines = 0;
  #heading = '';
  #hasBar = false;

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out;
  }

  phase({ name, total, done }: Phase): Disposable {
    if (!this.#out.isTTY || this.#hasBar) return { [Symbol.dispose]: () => undefined };
    const bar = new SingleBar({
      format: `${name.padEnd(14)} {bar} {value}/{total}  {duration_formatted}`,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: Math.max(4, Math.min(32, this.#width - BESIDE_BAR)),
      hideCursor: true,
      clearOnComplete: true,
      stream: this.#out,
    });
    this.#hasBar = true;
    bar.start(total, 0);
    const timer = setInterval(() => bar.update(Math.min(total, done())), REDRAW_MS);
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer);
        bar.stop();
        this.#hasBar = false;
      },
    };
  }

  step(line: StepLine): void {
    this.#show(tableLines(trainingColumns, line, this.#width));
  }

  supervisedStep(line: SupervisedLine): void {
    this.#show(tableLines(supervisedColumns, line, this.#width));
  }

  #show({ heading, cells }: ReturnType<typeof tableLines>): void {
    if (this.#lines % HEADING_EVERY === 0 || heading !== this.#heading) this.note(heading);
    this.#heading = heading;
    this.#lines++;
    this.note(cells);
  }

  /** Characters of a line; a terminal may change its size, and anything else has no limit. */
  get #width(): number {
    return this.#out.isTTY ? this.#out.columns : Infinity;
  }

  note(text: string): void {
    this.#out.write(`${readable(text)}\n`);
  }
}
