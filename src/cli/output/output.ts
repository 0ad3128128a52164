/** Output of a command: text for people, one JSON object a line for machines. */
import type { Reporter } from '../../../actors/trainer/report/reporter.ts';
import type { Failure } from '../exit-code.ts';
import type { Event } from './events.ts';
import type { Paint } from './style.ts';

/** Amount that a command says. `quiet`: warnings, errors and results. `verbose`: phases too, and what they took. */
export type Level = 'quiet' | 'usual' | 'verbose';

/** Receiver of everything that a command says. */
export interface Output {
  readonly level: Level;
  /** Columns of the terminal that results go to; Infinity where they go to none. */
  readonly columns: number;
  /** Says how work goes, in words. */
  say(text: string, paint?: Paint): void;
  /** Says what only `--verbose` asks for. */
  detail(text: string): void;
  /** Warns of something that does not end the work. */
  warn(text: string): void;
  /**
   * Tells what came of the work, however quiet the command is.
   *
   * @param event for machines
   * @param text  the same for people; nothing where it is empty
   * @throws IO_FAILED when it cannot be written, as to a full disk
   */
  tell(event: Event, text: string, paint?: Paint): Promise<void>;
  /** Tells of the error that ended the command. */
  fail(failure: Failure): void;
  /** Passes on whole lines that another process printed. */
  pass(stream: 'stdout' | 'stderr', text: string): void;
  /** Display of a run until it is disposed of. */
  reporter(): Reporter & Disposable;
}

/** Form and amount of what a command line wants to be told. */
export interface Manner {
  readonly isJson: boolean;
  readonly level: Level;
}

/**
 * The manner that a command line asks for. It is known before the flags are parsed, so that what is wrong with them can
 * be told in it.
 *
 * @param argv the command's name first; what stands behind `--` is no flag but that of the command that `launch` runs
 */
export function mannerOf(argv: readonly string[]): Manner {
  const end = argv[0] === 'launch' ? -1 : argv.indexOf('--');
  const words = end < 0 ? argv : argv.slice(0, end);
  const level = words.includes('--quiet')
    ? 'quiet'
    : words.includes('--verbose')
      ? 'verbose'
      : 'usual';
  return { isJson: words.includes('--json'), level };
}

/** A note of the trainer, which marks warnings by how they begin. */
export function noteTo(output: Pick<Output, 'say' | 'warn'>, text: string): void {
  const mark = 'warning: ';
  if (text.startsWith(mark)) output.warn(text.slice(mark.length));
  else output.say(text);
}
