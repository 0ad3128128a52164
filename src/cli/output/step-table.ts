/** The table of a run in a terminal: a line for each step, with as many columns as there is room for. */
import type { Pace, StepLine, SupervisedLine } from '../../../actors/trainer/report/reporter.ts';

/** A column of the table. */
interface Column<L> {
  readonly heading: string;
  readonly width: number;
  readonly cell: (line: L, width: number) => string;
  /** Place in the order in which columns are left out of a narrow terminal; columns without one always stay. */
  readonly leaves?: number;
}

const stepColumn: Column<Pace> = {
  heading: 'step',
  width: 9,
  cell: ({ step, steps }) => `${step}/${steps}`,
};
const secondsColumn: Column<Pace> = {
  heading: 'seconds',
  width: 7,
  cell: decimals('seconds', 2),
  leaves: 6,
};
const leftColumn: Column<Pace> = {
  heading: 'left',
  width: 8,
  cell: ({ secondsLeft }) => durationText(secondsLeft),
};

/** The columns of reinforcement learning. */
export const trainingColumns: readonly Column<StepLine>[] = [
  stepColumn,
  { heading: 'reward', width: 6, cell: decimals('reward', 3) },
  { heading: 'accuracy', width: 8, cell: decimals('accuracy', 3) },
  { heading: 'kl', width: 8, cell: decimals('kl', 5), leaves: 3 },
  { heading: 'clipped', width: 7, cell: decimals('clipFraction', 4), leaves: 1 },
  { heading: 'grad norm', width: 9, cell: decimals('gradNorm', 3), leaves: 5 },
  { heading: 'length', width: 7, cell: decimals('responseLength', 1), leaves: 4 },
  { heading: 'tokens/s', width: 8, cell: decimals('tokensPerSecond', 0), leaves: 2 },
  secondsColumn,
  leftColumn,
];

/** The columns of supervised training. */
export const supervisedColumns: readonly Column<SupervisedLine>[] = [
  stepColumn,
  { heading: 'loss', width: 8, cell: decimals('loss', 4) },
  { heading: 'grad norm', width: 9, cell: decimals('gradNorm', 3), leaves: 3 },
  { heading: 'lr', width: 8, cell: ({ learningRate }) => learningRate.toExponential(2), leaves: 2 },
  { heading: 'tokens/s', width: 8, cell: decimals('tokensPerSecond', 0), leaves: 1 },
  secondsColumn,
  leftColumn,
];

/** The table's line of a step, and the heading above it, without the columns that a narrow terminal has no room for. */
export function tableLines<L extends Pace>(
  columns: readonly Column<L>[],
  line: L,
  terminalWidth: number,
): { readonly heading: string; readonly cells: string } {
  // Every number of a run is as wide as its last.
  const stepWidth = `${line.steps}/${line.steps}`.length;
  const widthOf = ({ heading, width }: Column<L>): number =>
    heading === 'step' ? Math.max(width, stepWidth) : width;
  const whole = (shown: readonly Column<L>[]): number =>
    shown.reduce((sum, column) => sum + widthOf(column), shown.length - 1);
  const leaving = columns
    .filter(({ leaves }) => leaves !== undefined)
    .sort((a, b) => a.leaves! - b.leaves!);
  let shown = columns;
  for (const column of leaving) {
    if (whole(shown) <= terminalWidth) break;
    shown = shown.filter((other) => other !== column);
  }
  const row = (textOf: (column: Column<L>) => string): string =>
    shown.map((column) => textOf(column).padStart(widthOf(column))).join(' ');
  return {
    heading: row(({ heading }) => heading),
    cells: row((column) => column.cell(line, widthOf(column))),
  };
}

/** Time as a person reads it: `0:09`, `59:59`, `27:46:40`, and from a hundred hours on `4d 04h`. */
export function durationText(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '?';
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const padded = (value: number): string => String(value).padStart(2, '0');
  const days = Math.floor(hours / 24);
  if (days >= 1000) return `${days}d`;
  if (hours >= 100) return `${days}d ${padded(hours % 24)}h`;
  const minutes = Math.floor(whole / 60) % 60;
  const rest = padded(whole % 60);
  return hours === 0 ? `${minutes}:${rest}` : `${hours}:${padded(minutes)}:${rest}`;
}

/** Cell of a number with `count` decimals, or fewer where the column has no room for them. */
function decimals<K extends string>(key: K, count: number) {
  return (line: Readonly<Record<K, number>>, width: number): string => {
    const value = line[key];
    if (Math.abs(value) === Infinity) return value > 0 ? 'inf' : '-inf';
    for (let places = count; places >= 0; places--) {
      const text = value.toFixed(places);
      if (text.length <= width) return text;
    }
    return value.toExponential(0);
  };
}
