import { SingleBar } from 'cli-progress';
import type { Phase, Reporter, StepLine } from '../../actors/trainer/reporter.ts';
import { readable } from '../printable.ts';

/** The table's columns: heading, width, and how a step fills them. */
const columns: readonly (readonly [string, number, (line: StepLine) => string])[] = [
  ['step', 9, ({ step, steps }) => `${step}/${steps}`],
  ['reward', 8, ({ reward }) => reward.toFixed(3)],
  ['accuracy', 9, ({ accuracy }) => accuracy.toFixed(3)],
  ['kl', 9, ({ kl }) => kl.toFixed(5)],
  ['clipped', 8, ({ clipFraction }) => clipFraction.toFixed(4)],
  ['grad norm', 10, ({ gradNorm }) => gradNorm.toFixed(3)],
  ['length', 7, ({ responseLength }) => responseLength.toFixed(1)],
  ['tokens/s', 9, ({ tokensPerSecond }) => tokensPerSecond.toFixed(0)],
  ['seconds', 8, ({ seconds }) => seconds.toFixed(2)],
];

const HEADING_EVERY = 20;
const REDRAW_MS = 100;

/** Bars for what is going on and a table line per step; without a terminal, only the lines. */
export class TerminalReporter implements Reporter {
  readonly #out: NodeJS.WriteStream;
  #lines = 0;

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out;
  }

  phase({ name, total, done }: Phase): Disposable {
    if (!this.#out.isTTY) return { [Symbol.dispose]: () => undefined };
    const bar = new SingleBar({
      format: `${name.padEnd(14)} {bar} {value}/{total}  {duration_formatted}`,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 32,
      hideCursor: true,
      clearOnComplete: true,
      stream: this.#out,
    });
    bar.start(total, 0);
    const timer = setInterval(() => bar.update(Math.min(total, done())), REDRAW_MS);
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer);
        bar.stop();
      },
    };
  }

  step(line: StepLine): void {
    if (this.#lines % HEADING_EVERY === 0) {
      this.note(columns.map(([heading, width]) => heading.padStart(width)).join(' '));
    }
    this.#lines++;
    this.note(columns.map(([, width, cell]) => cell(line).padStart(width)).join(' '));
  }

  note(text: string): void {
    this.#out.write(`${readable(text)}\n`);
  }
}
