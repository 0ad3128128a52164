import { CxmindError } from '../src/errors.ts';

const maxDepth = 64;
/** Token of `undefined`, the one extension that we write: extension 0 with one zero byte. */
const undefinedExtension = 0xd4;

/**
 * Checks that msgpack bytes hold exactly one plain value, without building it.
 *
 * The decoder knows extensions that we never send. One of them, records, has it compile a reader from the names in the
 * message. It also believes announced lengths. A peer must not decide on either.
 *
 * @throws WIRE_INVALID for any other bytes
 * @see https://github.com/msgpack/msgpack/blob/master/spec.md
 */
export function scanMsgpack(bytes: Uint8Array): void {
  const end = scanValue(bytes, 0, 0);
  if (end !== bytes.length) fail(`${bytes.length - end} bytes after the value`);
}

function scanValue(bytes: Uint8Array, at: number, depth: number): number {
  if (depth > maxDepth) fail(`nesting deeper than ${maxDepth}`);
  if (at >= bytes.length) fail('the value ends early');
  const token = bytes[at]!;
  const next = at + 1;
  if (token <= 0x7f || token >= 0xe0) {
    // Without records, msgpackr writes and reads 0x40 to 0x7f as numbers.
    return next;
  }
  if (token <= 0x8f) return scanItems(bytes, next, 2 * (token & 0x0f), depth);
  if (token <= 0x9f) return scanItems(bytes, next, token & 0x0f, depth);
  if (token <= 0xbf) return skip(bytes, next, token & 0x1f);
  switch (token) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return next;
    case 0xc4: // bin 8
    case 0xd9: // str 8
      return skip(bytes, next + 1, lengthAt(bytes, next, 1));
    case 0xc5: // bin 16
    case 0xda: // str 16
      return skip(bytes, next + 2, lengthAt(bytes, next, 2));
    case 0xc6: // bin 32
    case 0xdb: // str 32
      return skip(bytes, next + 4, lengthAt(bytes, next, 4));
    case 0xcc: // uint 8
    case 0xd0: // int 8
      return skip(bytes, next, 1);
    case 0xcd: // uint 16
    case 0xd1: // int 16
      return skip(bytes, next, 2);
    case 0xca: // float 32
    case 0xce: // uint 32
    case 0xd2: // int 32
      return skip(bytes, next, 4);
    case 0xcb: // float 64
    case 0xcf: // uint 64
    case 0xd3: // int 64
      return skip(bytes, next, 8);
    case 0xdc: // array 16
      return scanItems(bytes, next + 2, lengthAt(bytes, next, 2), depth);
    case 0xdd: // array 32
      return scanItems(bytes, next + 4, lengthAt(bytes, next, 4), depth);
    case 0xde: // map 16
      return scanItems(bytes, next + 2, 2 * lengthAt(bytes, next, 2), depth);
    case 0xdf: // map 32
      return scanItems(bytes, next + 4, 2 * lengthAt(bytes, next, 4), depth);
    case undefinedExtension:
      if (bytes[next] === 0 && bytes[next + 1] === 0) return next + 2;
  }
  return fail(`token 0x${token.toString(16)} is not plain data`);
}

function scanItems(bytes: Uint8Array, at: number, count: number, depth: number): number {
  if (count > bytes.length - at) fail(`${count} items in ${bytes.length - at} bytes`);
  let position = at;
  for (let i = 0; i < count; i++) position = scanValue(bytes, position, depth + 1);
  return position;
}

function lengthAt(bytes: Uint8Array, at: number, width: 1 | 2 | 4): number {
  if (at + width > bytes.length) fail('the value ends early');
  let length = 0;
  for (let i = 0; i < width; i++) length = length * 256 + bytes[at + i]!;
  return length;
}

function skip(bytes: Uint8Array, at: number, count: number): number {
  if (at + count > bytes.length) fail('the value ends early');
  return at + count;
}

function fail(what: string): never {
  throw new CxmindError('WIRE_INVALID', `msgpack: ${what}`);
}
