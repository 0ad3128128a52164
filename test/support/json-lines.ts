/** Values as a JSON Lines file has them; a text is a line of its own. */
export function jsonLines(...values: readonly unknown[]): string {
  const lines = values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)));
  return lines.map((line) => `${line}\n`).join('');
}
