/** Text of data, models and servers, made fit for a terminal or a log. */

/** Control characters but line feed and tab, and those that change the direction of the text after them. */
const controls = /(?![\n\t])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** A word longer than any path; a list of numbers is no word. */
const longWord = /[^\s"\\,]{4097,}/g;
const KEPT_OF_WORD = 200;
/** A `data:` URL, split where its content begins to be of no use to a reader. */
const dataUrl = /(\bdata:[^\s,"'\\]{0,100},[^\s"'\\]{32})([^\s"'\\]{32,})/g;
const MAX_LINE = 4096;
const MAX_LINES = 200;
const LINES_AT_END = 50;

/** Values shorter than this are too common to be taken for a secret. */
const MIN_SECRET = 6;
const secretName = /(KEY|TOKEN|SECRET|PASS|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|AUTH)$/i;
/** User and password of a URL; bounded, so that no text takes long to search. */
const userInfo = /\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/?#"'\\]{1,2000}@/gi;

/**
 * Text that does nothing to a terminal: its control characters are written as `\u001b`, as in JSON.
 *
 * Data, models and servers may send text that moves the cursor, sets the title, writes the clipboard or turns the
 * direction of reading.
 */
export function printable(text: string): string {
  return text.replace(controls, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Text with the middle of long words left out: `data:` URLs, base64 and whatever else has no end. */
export function withoutLongWords(text: string): string {
  return text
    .replace(dataUrl, (_, head: string, rest: string) => `${head}… (${rest.length} more)`)
    .replace(
      longWord,
      (word) => `${word.slice(0, KEPT_OF_WORD)}… (${word.length - KEPT_OF_WORD} more)`,
    );
}

/**
 * Hides passwords of URLs, and the values of variables of the environment whose names say that they are secret.
 *
 * @returns `https://***@host/` and `${NAME}` in their place; also in JSON
 */
export function secretHider(
  environment: NodeJS.ProcessEnv = process.env,
): (text: string) => string {
  const secrets = Object.entries(environment).flatMap(([name, value = '']) =>
    value.length < MIN_SECRET || !secretName.test(name)
      ? []
      : [...new Set([value, JSON.stringify(value).slice(1, -1)])].map((form) => ({ name, form })),
  );
  // One may be the beginning of another.
  secrets.sort((a, b) => b.form.length - a.form.length);
  return (text) =>
    secrets
      .reduce((shown, { name, form }) => shown.replaceAll(form, `\${${name}}`), text)
      .replace(userInfo, '$1***@');
}

/** Text for a person's eyes: no secrets, no control characters, and the middle of long words left out. */
export function readable(text: string): string {
  return printable(withoutLongWords(secretHider()(text)));
}

/** Text cut to 200 lines of 4096 characters, with the number of lines and characters that were left out. */
export function shortened(text: string): string {
  const lines = text.split('\n').map(shortLine);
  const left = lines.length - MAX_LINES;
  if (left <= 0) return lines.join('\n');
  const begin = lines.slice(0, MAX_LINES - LINES_AT_END);
  return [...begin, `… (${left} more lines)`, ...lines.slice(-LINES_AT_END)].join('\n');
}

function shortLine(line: string): string {
  const left = line.length - MAX_LINE;
  return left <= 0 ? line : `${line.slice(0, MAX_LINE)}… (${left} more)`;
}
