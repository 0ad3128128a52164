import { setTimeout as delay } from 'node:timers/promises';
import { Flags } from '@oclif/core';
import type { LogLevel, LogLine, LogPage } from '../../dashboard/api.ts';
import { logLevels } from '../../dashboard/page/log-levels.ts';
import type { RunView } from '../../dashboard/run-view.ts';
import { ReportingCommand } from '../command.ts';
import { interruptible } from '../interrupt.ts';
import { runArg } from '../flags.ts';
import type { Paint } from '../output/style.ts';

const LOOK_MS = 300;
const PAGE_LINES = 500;

export class Logs extends ReportingCommand {
  static override summary = 'Print the log of a run, and follow it.';
  static override description =
    'A terminal shows of each line what fits its width, and numbers with four digits; a file or a pipe gets all of it.';
  static override examples = [
    '<%= config.bin %> logs runs/quickstart/seed-1 --level warn',
    '<%= config.bin %> logs runs/quickstart/seed-1 --lines 20 --follow',
  ];
  static override args = { run: runArg };
  static override flags = {
    lines: Flags.integer({
      description: 'last lines to print',
      default: 100,
      min: 1,
      max: 100_000,
    }),
    level: Flags.option({ description: 'lowest level', options: logLevels, default: 'info' })(),
    follow: Flags.boolean({ description: 'print what comes, until Ctrl-C', default: false }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Logs);
    const { runIn } = await import('../runs.ts');
    const view = await runIn(args.run);
    const { output } = this;
    const show = async ({ lines }: LogPage): Promise<void> => {
      for (const { event: name, ...rest } of lines) {
        const text = textOf({ event: name, ...rest }, output.columns);
        await output.tell({ event: 'log', name, ...rest }, text, paintLine);
      }
    };
    const { level } = flags;
    const first = await lastLines(view, { count: flags.lines, level });
    await show(first);
    if (!flags.follow) {
      return output.tell({ event: 'result', command: 'logs', lines: first.lines.length }, '');
    }
    await interruptible(async ({ signal }) => {
      let { after } = first;
      while (!signal.aborted) {
        const page = await view.log({ after, count: PAGE_LINES, level });
        await show(page);
        // A log that was begun anew is shorter.
        const isSame = page.after >= after;
        after = isSame ? page.after : 0;
        if (page.lines.length === 0) await delay(LOOK_MS, null, { signal }).catch(() => undefined);
      }
    });
  }
}

/**
 * The last `count` lines of a log, or all where it has fewer.
 *
 * A page covers a bounded number of bytes, so it may have too few lines of the level; then earlier pages are read too.
 */
async function lastLines(
  view: Pick<RunView, 'log'>,
  { count, level }: { readonly count: number; readonly level: LogLevel },
): Promise<LogPage> {
  const last = await view.log({ count, level });
  let { lines, before } = last;
  while (lines.length < count && before !== null) {
    const page = await view.log({ before, count: count - lines.length, level });
    lines = [...page.lines, ...lines];
    before = page.before;
  }
  return { lines, before, after: last.after };
}

/** The time faint, and a level that wants a look in its colour. */
const paintLine: Paint = (text, { faint, doubtful, bad }) =>
  text
    .replace(/(?<=^\S* )warn/, doubtful)
    .replace(/(?<=^\S* )error/, bad)
    .replace(/^\S+/, faint);

/**
 * An event as a line to read: time, level, event, fields. On a terminal its numbers have four digits, and it ends where
 * the terminal does.
 */
function textOf({ time, level, event, fields }: LogLine, columns: number): string {
  const { text, ...others } = fields;
  const at = time === null ? '' : new Date(time).toISOString();
  // A note says itself.
  const isNote = event === 'note' && typeof text === 'string';
  const facts = Object.entries(isNote ? others : fields).map(([name, value]) => {
    if (typeof value === 'number' && columns < Infinity)
      return `${name}=${Number(value.toPrecision(4))}`;
    return `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
  });
  const line = [at, level.padEnd(5), isNote ? text : event, ...facts].join(' ');
  return line.length > columns ? `${line.slice(0, columns - 1)}…` : line;
}
