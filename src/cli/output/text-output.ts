/** Output for people: work and results on standard output, warnings and errors on standard error. */
import type { Reporter } from '../../../actors/trainer/report/reporter.ts';
import { readable, printable, shortened } from '../../printable.ts';
import type { Failure } from '../exit-code.ts';
import { writeWhole, type Streams } from '../terminal.ts';
import type { Event } from './events.ts';
import type { Level, Output } from './output.ts';
import { StatusLine } from './status-line.ts';
import { styleFor, type Paint, type Style } from './style.ts';
import { TextReporter } from './text-reporter.ts';

const plain: Paint = (text) => text;

/** Output for people. In a terminal its last line says how far the work is. */
export class TextOutput implements Output {
  readonly level: Level;
  readonly #streams: Streams;
  readonly #styles: Readonly<Record<'stdout' | 'stderr', Style>>;
  readonly #status: StatusLine;

  constructor(level: Level, streams: Streams = process) {
    this.level = level;
    this.#streams = streams;
    this.#styles = { stdout: styleFor(streams.stdout), stderr: styleFor(streams.stderr) };
    this.#status = new StatusLine(streams.stdout);
  }

  get columns(): number {
    const { stdout } = this.#streams;
    return stdout.isTTY ? stdout.columns : Infinity;
  }

  say(text: string, paint: Paint = plain): void {
    if (this.level !== 'quiet') this.#line('stdout', readable(text), paint);
  }

  detail(text: string): void {
    if (this.level === 'verbose') this.say(text, (shown, { faint }) => faint(shown));
  }

  warn(text: string): void {
    const paint: Paint = (shown, { doubtful }) => shown.replace(/^warning:/, doubtful);
    this.#line('stderr', shortened(readable(`warning: ${text}`)), paint);
  }

  async tell(_: Event, text: string, paint: Paint = plain): Promise<void> {
    if (text === '') return;
    const shown = paint(printable(text), this.#styles.stdout);
    const { stdout } = this.#streams;
    await writeWhole((bytes, written) => stdout.write(bytes, written), `${shown}\n`);
  }

  fail({ text }: Failure): void {
    if (text === '') return;
    this.#line('stderr', shortened(readable(text)), (shown, { bad }) =>
      shown.replace(/^\S[^:\n]*:?/gm, bad),
    );
  }

  pass(stream: 'stdout' | 'stderr', text: string): void {
    this.#status.above(() => this.#streams[stream].write(text));
  }

  reporter(): Reporter & Disposable {
    return new TextReporter(this, this.#status);
  }

  #line(stream: 'stdout' | 'stderr', text: string, paint: Paint): void {
    const shown = paint(text, this.#styles[stream]);
    this.#status.above(() => this.#streams[stream].write(`${shown}\n`));
  }
}
