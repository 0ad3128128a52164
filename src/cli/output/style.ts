/**
 * Colours of the terminal, and the one place that decides whether there are any.
 *
 * Node's `styleText` asks the stream: colour goes to a terminal alone, unless `FORCE_COLOR` asks for it; `NO_COLOR` and
 * `TERM=dumb` take it away. All are among the sixteen colours that a terminal's own theme defines, and can be read on
 * light and on dark. Yellow and cyan cannot be read on white (a contrast of 1.4 and 2.0 in the palettes of common
 * terminals), nor blue on black.
 */
import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];

/** Formats by what they mean. */
const formats = {
  strong: 'bold',
  faint: 'dim',
  good: 'green',
  doubtful: ['bold', 'magenta'],
  bad: 'red',
} satisfies Readonly<Record<string, Format>>;

/** Functions that put a text in a colour, or leave it as it is where the stream takes none. */
export type Style = Readonly<Record<keyof typeof formats, (text: string) => string>>;

/** Puts colours into a text that has no control characters left. */
export type Paint = (text: string, style: Style) => string;

/** The colours of a stream. */
export function styleFor(stream: NodeJS.WritableStream): Style {
  const painters = Object.entries(formats).map(([name, format]) => [
    name,
    (text: string): string => styleText(format, text, { stream }),
  ]);
  return Object.fromEntries(painters) as Style;
}
