/** Output of a command: text for people, one JSON object a line for machines. */
import type { Reporter } from '../../../actors/trainer/report/reporter.ts';
import type { Failure } from '../exit-code.ts';
import type { Event } from './events.ts';
import type { Paint } from './style.ts';

/** Verbosity of a command. `quiet`: warnings, errors and results alone. `verbose`: phases and their times too. */
export type Level = 'quiet' | 'usual' | 'verbose';

/** Receiver of everything that a command says. */
export interface Output {
  readonly level: Level;
  /** Columns of the terminal that results go to; Infinity where they go to none. */
  readonly columns: number;
  /** Says how work goes, in words. */
  say(text: string, paint?: Paint): void;
  /** Says something that only `--verbose` shows. */
  detail(text: string): void;
  /** Warns of something that does not end the work. */
  warn(text: string): void;
  /**
   * Tells a result of the work, however quiet the command is.
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

/** Form and verbosity of a command's output. */
export interface Manner {
  readonly isJson: boolean;
  readonly level: Level;
}

/**
 * Reads the manner off a command line before its flags are parsed, so that errors in the flags are told in it too.
 *
 * @param argv begins with the command's name. Words behind `--` are no flags, except those of the command that `launch`
 *   runs
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

/** Says a note of the trainer, or warns where the note begins with `warning: `. */
export function noteTo(output: Pick<Output, 'say' | 'warn'>, text: string): void {
  const mark = 'warning: ';
  if (text.startsWith(mark)) output.warn(text.slice(mark.length));
  else output.say(text);
}
