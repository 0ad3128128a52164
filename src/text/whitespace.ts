/**
 * White space as the reference language (Python) has it: JavaScript's, with U+001C to U+001F and
 * U+0085, without U+FEFF. Written for use inside a regular expression's character class.
 */
export const SPACE =
  '\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const ONE_SPACE = new RegExp(`^[${SPACE}]$`);
const RUN = new RegExp(`[${SPACE}]+`, 'u');

/** Whether a one-character string is white space. */
export function isSpace(character: string): boolean {
  return ONE_SPACE.test(character);
}

/** The text without white space at its ends, in linear time. */
export function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text[start]!)) start++;
  while (end > start && isSpace(text[end - 1]!)) end--;
  return text.slice(start, end);
}

/** The words between runs of white space; none for blank text. */
export function splitSpace(text: string): string[] {
  return text.split(RUN).filter((word) => word !== '');
}
