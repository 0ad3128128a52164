/**
 * Text of data, models and logs in the form that the page shows: never as markup, and without invisible characters.
 *
 * Control characters, bidirectional controls and characters without width are shown as their code points, against
 * attacks such as "Trojan Source" (arXiv:2111.00169). Every text is isolated, so that its direction ends with it.
 */
import { element } from './dom.ts';

/** Invisible characters except line feed and tab: controls, formats, separators, lone surrogates. */
const hidden = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029\u115f\u1160\u3164\uffa0]/gu;

/** Names of the characters that attacks use. */
const names: Readonly<Record<string, string>> = {
  '\u0000': 'null',
  '\u0007': 'bell',
  '\u0008': 'backspace',
  '\u000d': 'carriage return',
  '\u001b': 'escape',
  '\u00ad': 'soft hyphen',
  '\u200b': 'zero-width space',
  '\u200c': 'zero-width non-joiner',
  '\u200d': 'zero-width joiner',
  '\u200e': 'left-to-right mark',
  '\u200f': 'right-to-left mark',
  '\u202a': 'left-to-right embedding',
  '\u202b': 'right-to-left embedding',
  '\u202c': 'end of embedding',
  '\u202d': 'left-to-right override',
  '\u202e': 'right-to-left override',
  '\u2066': 'left-to-right isolate',
  '\u2067': 'right-to-left isolate',
  '\u2068': 'first-strong isolate',
  '\u2069': 'end of isolate',
  '\ufeff': 'byte order mark',
};

/** Longest text that is shown whole: a browser takes seconds to lay out the lines of a megabyte. */
const MAX_CHARACTERS = 100_000;

/** Text in a `bdi` element, each hidden character as a mark with its code point. */
export function visibleText(text: string): HTMLElement {
  const isolated = element('bdi');
  const shown = text.slice(0, MAX_CHARACTERS);
  let start = 0;
  for (const found of shown.matchAll(hidden)) {
    isolated.append(shown.slice(start, found.index), hiddenMark(found[0]));
    start = found.index + found[0].length;
  }
  isolated.append(shown.slice(start));
  const left = text.length - shown.length;
  if (left > 0) isolated.append(`… (${left.toLocaleString('en')} more characters)`);
  return isolated;
}

/** Text for an attribute, a title or a canvas, where there are no marks: hidden characters as `\u{202e}`. */
export function plainText(text: string): string {
  return text.replace(hidden, (character) => `\\u{${codePoint(character)}}`);
}

function hiddenMark(character: string): HTMLElement {
  const code = codePoint(character);
  const title = `U+${code} ${names[character] ?? ''}`.trim();
  return element('span', { className: 'hidden-character', title }, code);
}

function codePoint(character: string): string {
  return character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
}
