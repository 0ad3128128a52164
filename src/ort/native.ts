/** Calls of ONNX Runtime: slots for their results, their statuses as errors, and native memory as bytes and text. */
import koffi from 'koffi';
import { CxmindError } from '../errors.ts';
import { lastingBuffer } from '../tensor/memory.ts';
import { loadFunctions, type Functions, type Pointer } from './abi.ts';

const OUT_OF_MEMORY = /out of memory|bad_alloc|failed to allocate|available memory of/i;

/** Most axes of a tensor. */
const MOST_AXES = 16;

/** The library's functions, with slots for results and statuses as errors. */
export class Native {
  readonly functions: Functions = loadFunctions();
  readonly #slot = new BigUint64Array(lastingBuffer(8));
  readonly #dims = new BigInt64Array(lastingBuffer(8 * MOST_AXES));
  #raised: CxmindError | undefined;

  /**
   * Throws the error of a status, and releases it. Null is success.
   *
   * @throws DEVICE_OUT_OF_MEMORY or RUNTIME_FAILED with ONNX Runtime's text after `where`, or the error of a custom op
   */
  check(status: Pointer, where: string): void {
    if (status === null) return;
    const { number, text } = this.take(status);
    const raised = this.#raised;
    if (raised !== undefined) {
      this.#raised = undefined;
      const { code, message, detail } = raised;
      throw new CxmindError(code, `${where}: ${message}`, { detail, cause: raised });
    }
    const code = OUT_OF_MEMORY.test(text) ? 'DEVICE_OUT_OF_MEMORY' : 'RUNTIME_FAILED';
    throw new CxmindError(code, `${where}: ${text}`, { detail: { ortCode: number } });
  }

  /** Keeps an error of a custom op until the status that native code makes of it is checked. */
  raise(error: CxmindError): void {
    this.#raised = error;
  }

  /** Reads a status, and releases it. */
  take(status: bigint): { number: number; text: string } {
    const { GetErrorCode, GetErrorMessage, ReleaseStatus } = this.functions;
    const read = { number: GetErrorCode(status), text: GetErrorMessage(status).trim() };
    ReleaseStatus(status);
    return read;
  }

  /** Calls a function with a slot for one pointer or size; returns the value written there. */
  out(where: string, call: (slot: BigUint64Array) => Pointer): bigint {
    this.#slot[0] = 0n;
    this.check(call(this.#slot), where);
    return this.#slot[0];
  }

  /**
   * A shape in native memory, valid until the next.
   *
   * @throws SHAPE_MISMATCH for more than 16 axes
   */
  dims(shape: readonly number[], where: string): BigInt64Array {
    if (shape.length > MOST_AXES) {
      throw new CxmindError('SHAPE_MISMATCH', `${where}: more than ${MOST_AXES} axes`);
    }
    shape.forEach((size, axis) => (this.#dims[axis] = BigInt(size)));
    return this.#dims;
  }
}

/** The bytes at an address, in place. They are valid only as long as the native side keeps them. */
export function bytesAt(at: bigint, length: number): Uint8Array {
  return new Uint8Array(koffi.view(at, length));
}

/** The text at an address. */
export function textAt(at: bigint): string {
  return koffi.decode.string(at);
}

/** A C string at a fixed address, for a name that is passed many times. */
export class NativeText implements Disposable {
  readonly address: bigint;

  constructor(text: string) {
    const bytes = Buffer.from(`${text}\0`);
    this.address = koffi.alloc('uint8_t', bytes.length) as bigint;
    bytesAt(this.address, bytes.length).set(bytes);
  }

  [Symbol.dispose](): void {
    koffi.free(this.address);
  }
}
