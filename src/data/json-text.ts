/**
 * The value of a JSON text in which numbers may be no numbers, as Python writes them: NaN becomes null, infinities are
 * kept.
 *
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const plain = withoutNonFinite(text);
    if (plain === text) throw error;
    return JSON.parse(plain);
  }
}

/** JSON has no word for infinity, but numbers that are too large for a double. */
function withoutNonFinite(text: string): string {
  let isInString = false;
  return text.replace(/\\.|"|NaN|Infinity/gs, (token) => {
    if (token === '"') isInString = !isInString;
    if (isInString) return token;
    return token === 'NaN' ? 'null' : token.replace('Infinity', '1e999');
  });
}
