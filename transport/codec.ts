/**
 * Messages as bytes: plain values in msgpack, and their tensors as frames beside it.
 *
 * `tensor-codec.ts` has the io-ts codecs that check tensors.
 */
import { Packr } from 'msgpackr';
import { CxmindError, messageOf } from '../src/errors.ts';
import { bytesOf, bytesPerElement, isDType, viewOf } from '../src/tensor/dtype.ts';
import { sizeOf, type Tensor } from '../src/tensor/tensor.ts';
import type { Body } from './frame.ts';
import { scanMsgpack } from './msgpack-scan.ts';
import { ownMemory, sharedBytes, type PayloadMemory } from './shared/payload-memory.ts';
import { isTensor } from './tensor-codec.ts';

/** Encoder without records, which would need a dialogue of both ends, and whose reader is generated code. */
const packr = new Packr({ useRecords: false, mapsAsObjects: true, moreTypes: false });

/** Key of an object that stands for a tensor in a body: `{ $tensor: index }`. */
const slotKey = '$tensor';
/** Value of that key where a message has a key of that very name: `{ $tensor: -1, value }`. */
const escaped = -1;
const maxDepth = 60;

/** Content of the msgpack of a body with frames: the value with slots, then dtype and shape of each frame. */
type BodyForm = readonly [value: unknown, table: readonly (readonly [Tensor['dtype'], number[]])[]];

/** Encodes one plain value without tensors as msgpack. */
export function encodeValue(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** Decodes the msgpack of one plain value. @throws WIRE_INVALID for any other bytes */
export function decodeValue(bytes: Uint8Array): unknown {
  scanMsgpack(bytes);
  try {
    return packr.unpack(bytes) as unknown;
  } catch (thrown) {
    throw new CxmindError('WIRE_INVALID', messageOf(thrown), { cause: thrown });
  }
}

/**
 * Encodes a message: its tensors become frames, the rest msgpack.
 *
 * Tensors on shared memory are not copied. Others are copied once, into `payloads`. Numbers keep their 64 bits except
 * the sign of zero, strings must be well-formed, and bigints have 64 bits.
 *
 * @throws WIRE_INVALID with the path of a value that is not plain data: a function, a class instance, a cycle
 */
export function encodeBody(message: unknown, payloads: PayloadMemory = ownMemory): Body {
  const encoder = new Encoder(payloads);
  const value = encoder.detach(message);
  const { frames, table } = encoder;
  return { bytes: packr.pack(frames.length === 0 ? value : [value, table]), frames };
}

/**
 * Decodes the message of a body.
 *
 * Its tensors are views of the frames. A frame that is not on shared memory, or not aligned to its dtype, is copied
 * once.
 *
 * @throws WIRE_INVALID for a body that `encodeBody` could not have made
 */
export function decodeBody(body: Body): unknown {
  try {
    return decoded(body);
  } catch (error) {
    // Memory for a frame's copy, for one, may be more than there is.
    if (error instanceof CxmindError) throw error;
    throw new CxmindError('WIRE_INVALID', `body: ${messageOf(error)}`, { cause: error });
  }
}

function decoded({ bytes, frames }: Body): unknown {
  const unpacked = decodeValue(bytes);
  if (frames.length === 0) return attach(unpacked, []);
  if (!isBodyForm(unpacked)) {
    throw new CxmindError('WIRE_INVALID', 'body: not a value and its tensors');
  }
  const [value, table] = unpacked;
  if (table.length !== frames.length) {
    const counts = `${table.length} tensors in ${frames.length} frames`;
    throw new CxmindError('WIRE_INVALID', `body: ${counts}`);
  }
  const tensors = table.map(([dtype, shape], i) => tensorAt(dtype, shape, frames[i]!));
  return attach(value, tensors);
}

function isBodyForm(unpacked: unknown): unpacked is BodyForm {
  if (!Array.isArray(unpacked) || unpacked.length !== 2) return false;
  const table: unknown = unpacked[1];
  return Array.isArray(table) && table.every(isTableRow);
}

function isTableRow(row: unknown): boolean {
  if (!Array.isArray(row) || row.length !== 2) return false;
  const [dtype, shape] = row as unknown[];
  return isDType(dtype) && Array.isArray(shape) && shape.every(Number.isInteger);
}

/** Encoder of one message: a walk that takes the tensors out, and copies only the parts that hold some. */
class Encoder {
  readonly frames: Uint8Array[] = [];
  readonly table: [Tensor['dtype'], readonly number[]][] = [];
  #slots: Map<Tensor, number> | undefined;
  readonly #path: (string | number)[] = [];
  readonly #payloads: PayloadMemory;

  constructor(payloads: PayloadMemory) {
    this.#payloads = payloads;
  }

  detach(value: unknown): unknown {
    switch (typeof value) {
      case 'string':
      case 'number':
      case 'boolean':
      case 'undefined':
        return value;
      case 'bigint':
        if (BigInt.asIntN(64, value) === value) return value;
        return this.#refuse('a bigint of more than 64 bits');
      case 'object':
        return this.#detachObject(value);
      case 'function':
      case 'symbol':
        return this.#refuse(`a ${typeof value}`);
    }
  }

  #detachObject(value: object | null): unknown {
    if (value === null || value instanceof Uint8Array) return value;
    if (this.#path.length > maxDepth) this.#refuse('nesting too deep, or a cycle');
    if (Array.isArray(value)) return this.#detachArray(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) {
      this.#refuse(`an instance of ${value.constructor.name}`);
    }
    if (isTensor(value)) return { [slotKey]: this.#slotOf(value) };
    const rebuilt = this.#detachFields(value as Readonly<Record<string, unknown>>);
    return Object.hasOwn(value, slotKey) ? { [slotKey]: escaped, value: rebuilt } : rebuilt;
  }

  #detachArray(items: readonly unknown[]): readonly unknown[] {
    let rebuilt: unknown[] | undefined;
    for (let i = 0; i < items.length; i++) {
      this.#path.push(i);
      const item = this.detach(items[i]);
      this.#path.pop();
      if (item !== items[i] && !Number.isNaN(item)) (rebuilt ??= [...items])[i] = item;
    }
    return rebuilt ?? items;
  }

  #detachFields(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    let rebuilt: Record<string, unknown> | undefined;
    for (const key of Object.keys(fields)) {
      if (key === '__proto__') this.#refuse('a key __proto__');
      this.#path.push(key);
      const item = this.detach(fields[key]);
      this.#path.pop();
      if (item !== fields[key] && !Number.isNaN(item)) (rebuilt ??= { ...fields })[key] = item;
    }
    return rebuilt ?? fields;
  }

  #slotOf(tensor: Tensor): number {
    this.#slots ??= new Map();
    const known = this.#slots.get(tensor);
    if (known !== undefined) return known;
    const slot = this.frames.length;
    this.#slots.set(tensor, slot);
    this.frames.push(this.#payloads.share(bytesOf(tensor.data)));
    this.table.push([tensor.dtype, tensor.shape]);
    return slot;
  }

  #refuse(what: string): never {
    const path = this.#path.join('.');
    throw new CxmindError('WIRE_INVALID', `message: ${path || 'the value'} is ${what}`, {
      detail: { path },
    });
  }
}

/** Puts tensors back into their slots, in place. The value is fresh from the decoder. */
function attach(value: unknown, tensors: readonly Tensor[]): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) {
    const items = value as unknown[];
    for (let i = 0; i < items.length; i++) items[i] = attach(items[i], tensors);
    return items;
  }
  const fields = value as Record<string, unknown>;
  if (!Object.hasOwn(fields, slotKey)) return attachFields(fields, tensors);
  const slot = fields[slotKey];
  if (slot === escaped && typeof fields['value'] === 'object' && fields['value'] !== null) {
    return attachFields(fields['value'] as Record<string, unknown>, tensors);
  }
  const tensor = typeof slot === 'number' ? tensors[slot] : undefined;
  if (tensor === undefined) throw new CxmindError('WIRE_INVALID', 'body: a slot without a tensor');
  return tensor;
}

function attachFields(fields: Record<string, unknown>, tensors: readonly Tensor[]): unknown {
  for (const key of Object.keys(fields)) fields[key] = attach(fields[key], tensors);
  return fields;
}

function tensorAt(dtype: Tensor['dtype'], shape: readonly number[], frame: Uint8Array): Tensor {
  const width = bytesPerElement(dtype);
  const size = sizeOf(shape);
  if (shape.some((dim) => dim < 0) || size * width !== frame.byteLength) {
    throw new CxmindError(
      'WIRE_INVALID',
      `body: ${dtype} [${shape.join(', ')}] in a frame of ${frame.byteLength} bytes`,
    );
  }
  const isAligned = frame.byteOffset % width === 0;
  const bytes = isAligned ? sharedBytes(frame) : sharedBytes(Uint8Array.from(frame));
  return { dtype, shape, data: viewOf(dtype, bytes.buffer, bytes.byteOffset, size) };
}
