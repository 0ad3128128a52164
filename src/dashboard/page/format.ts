/** Numbers, spans of time and sizes as the page writes them. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const minutes = { hour: '2-digit', minute: '2-digit' } as const;
const whole = new Intl.NumberFormat('en');

/** A number with four significant digits: `12,345`, `0.6143`, `1.44e-7`; `–` for none. */
export function numberText(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e9)) {
    return signed(
      value
        .toExponential(2)
        .replace(/\.?0+e/, 'e')
        .replace('e+', 'e'),
    );
  }
  if (Number.isInteger(value) || size >= 1000) return signed(whole.format(Math.round(value)));
  return signed(String(Number(value.toPrecision(4))));
}

/** A count with separators: `100,000`. */
export function countText(value: number): string {
  return whole.format(value);
}

/** A share as per cent with one decimal: `61.4 %`. */
export function percentText(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Seconds as its two largest units: `3 d 4 h`, `12 min 5 s`, `1.24 s`, `8.1 ms`. */
export function durationText(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 1) return `${numberText(Number((1000 * seconds).toPrecision(3)))} ms`;
  if (seconds < MINUTE) return `${Number(seconds.toPrecision(3))} s`;
  const [large, small, units] =
    seconds < HOUR
      ? [MINUTE, 1, ['min', 's'] as const]
      : seconds < DAY
        ? [HOUR, MINUTE, ['h', 'min'] as const]
        : [DAY, HOUR, ['d', 'h'] as const];
  const smalls = Math.round(seconds / small);
  const larges = Math.floor((smalls * small) / large);
  const rest = smalls - (larges * large) / small;
  return rest === 0 ? `${larges} ${units[0]}` : `${larges} ${units[0]} ${rest} ${units[1]}`;
}

/** Milliseconds before or after a beginning in the form of `durationText`: `−1.2 s`; `0` for the beginning. */
export function offsetText(ms: number): string {
  return ms === 0 ? '0' : `${ms < 0 ? '−' : ''}${durationText(Math.abs(ms) / 1000)}`;
}

/** A value of any kind: a text unchanged, others as JSON. */
export function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Bytes with a binary unit: `3.2 GiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  // From a thousand on the next unit is shorter: 0.98 GiB, not 1003 MiB.
  const fits = units.findIndex((_, i) => bytes / 1024 ** i < 999.5);
  const power = fits < 0 ? units.length - 1 : fits;
  const size = power === 0 ? bytes : Number((bytes / 1024 ** power).toPrecision(3));
  return `${size} ${units[power]!}`;
}

/** A time on the reader's clock to the second, `20:11:04`, with its day unless that is today: `27 Nov, 20:11:04`. */
export function clockText(time: number): string {
  return timeText(time, { ...minutes, second: '2-digit' });
}

/** A time on the reader's clock to the minute, `20:11`, with its day unless that is today: `27 Nov, 20:11`. */
export function dateText(time: number): string {
  return timeText(time, minutes);
}

function timeText(time: number, form: Intl.DateTimeFormatOptions): string {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString('en-GB', isToday ? form : { day: 'numeric', month: 'short', ...form });
}

/** The true minus sign, which is as wide as a digit. */
function signed(text: string): string {
  return text.replaceAll('-', '−');
}
