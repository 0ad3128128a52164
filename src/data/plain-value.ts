/** Values of Parquet and Arrow files as plain data, of which the bytes may be copied out of the file's buffers. */

/**
 * Value of a typed file as JSON would hold it, bytes aside. A 64-bit integer becomes a number if that is exact, and
 * text otherwise. A time becomes ISO text. A list of any kind becomes an array.
 */
export function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value === undefined || value === null) return null;
  if (typeof value !== 'object') return value;
  if (value instanceof Uint8Array) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (isIterable(value)) return Array.from(value, plainValue);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plainValue(inner)]));
}

/**
 * Copies the bytes in a value. They are views of a whole page or column, which would be held, or cross to another thread,
 * with each of them.
 *
 * @param buffers takes the memory of the copies
 */
export function withOwnBytes(value: unknown, buffers?: Set<ArrayBuffer>): unknown {
  if (value instanceof Uint8Array) {
    const copy = new Uint8Array(value);
    buffers?.add(copy.buffer);
    return copy;
  }
  if (Array.isArray(value)) return value.map((item) => withOwnBytes(item, buffers));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([key, inner]) => [key, withOwnBytes(inner, buffers)]));
}

function isIterable(value: object): value is Iterable<unknown> {
  return Symbol.iterator in value;
}
