/** Output for machines: each event is one line of JSON on standard output, and nothing else is. */
import type { Phase, Reporter } from '../../../actors/trainer/report/reporter.ts';
import { printable, secretHider, withoutLongWords } from '../../printable.ts';
import type { Failure } from '../exit-code.ts';
import { writeWhole, type Write } from '../terminal.ts';
import { snakeCase, type Event } from './events.ts';
import { noteTo, type Level, type Output } from './output.ts';

export class JsonOutput implements Output {
  readonly level: Level;
  readonly columns = Infinity;
  readonly #write: Write;

  constructor(level: Level, write: Write) {
    this.level = level;
    this.#write = write;
  }

  say(text: string): void {
    if (this.level !== 'quiet') this.#put({ event: 'note', text: withoutSecrets(text) });
  }

  detail(text: string): void {
    if (this.level === 'verbose') this.#put({ event: 'detail', text: withoutSecrets(text) });
  }

  warn(text: string): void {
    this.#put({ event: 'warning', text: withoutSecrets(text) });
  }

  tell(event: Event): Promise<void> {
    return writeWhole(this.#write, lineOf(event));
  }

  fail({ code, text, detail, exitCode }: Failure): void {
    // The detail quotes values of the config, which may be secrets.
    const hidden = JSON.parse(
      JSON.stringify(detail, (_, value: unknown) =>
        typeof value === 'string' ? withoutSecrets(value) : value,
      ),
    ) as Failure['detail'];
    const message = withoutSecrets(text);
    this.#put({ event: 'error', code, message, detail: hidden, exit_code: exitCode });
  }

  pass(stream: 'stdout' | 'stderr', text: string): void {
    for (const line of text.replace(/\n$/, '').split('\n')) {
      this.#put({ event: 'output', stream, text: withoutSecrets(line) });
    }
  }

  reporter(): Reporter & Disposable {
    return {
      phase: (phase) => this.#phase(phase),
      step: (line) => this.#step({ event: 'step', ...snakeCase(line) }),
      supervisedStep: (line) => this.#step({ event: 'sft_step', ...snakeCase(line) }),
      note: (text) => noteTo(this, text),
      [Symbol.dispose]: () => undefined,
    };
  }

  #phase({ name, total, done }: Phase): Disposable {
    const started = performance.now();
    return {
      [Symbol.dispose]: () => {
        if (this.level !== 'verbose') return;
        const seconds = (performance.now() - started) / 1000;
        this.#put({ event: 'phase', name, done: done(), total, seconds });
      },
    };
  }

  #step(event: Event): void {
    if (this.level !== 'quiet') this.#put(event);
  }

  #put(event: Event): void {
    this.#write(lineOf(event), () => undefined);
  }
}

function lineOf(event: Event): string {
  return `${printable(JSON.stringify(event))}\n`;
}

function withoutSecrets(text: string): string {
  return withoutLongWords(secretHider()(text));
}
