/** White space as Python has it. That of JavaScript lacks U+001C to U+001F and U+0085, and has U+FEFF besides. */

/** White space, for a character class of a regular expression. */
export const SPACE =
  '\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const ONE_SPACE = new RegExp(`^[${SPACE}]$`);
const RUN = new RegExp(`[${SPACE}]+`, 'u');

/** Tells whether a character is white space. */
export function isSpace(character: string): boolean {
  return ONE_SPACE.test(character);
}

/** Trims white space at both ends, in linear time. */
export function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text[start]!)) start++;
  while (end > start && isSpace(text[end - 1]!)) end--;
  return text.slice(start, end);
}

/** Words between runs of white space; none in a blank text. */
export function splitSpace(text: string): string[] {
  return text.split(RUN).filter((word) => word !== '');
}
