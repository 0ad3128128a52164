import koffi from 'koffi';
import { define, openLibrary, type Code, type Out } from '../../../src/device/cuda/library.ts';
import { CxmindError } from '../../../src/errors.ts';
import type { NativeFunction } from '../../../src/native.ts';
import { sharedBuffer } from '../../../src/tensor/memory.ts';
import type { Element } from '../call.ts';

/** Bytes of the identifier that the ranks of a communicator share before they know each other. */
export const NCCL_ID_BYTES = 128;

/** `ncclDataType_t` */
const dataTypes: Readonly<Record<Element, number>> = { f32: 7, f16: 6, bf16: 9, i32: 2, i64: 4 };
/** `ncclSum` */
const SUM = 0;
/** `ncclInProgress` */
const IN_PROGRESS = 7;
/** Fields of `ncclConfig_t` as of NCCL 2.14. Later fields have their defaults. */
const config = { size: 24, magic: 0xcafebeef, version: 21400, blocking: 0 } as const;

/** Tensors of a collective, and the stream that it is queued on. */
export interface Transfer {
  readonly input: bigint;
  readonly output: bigint;
  /** Elements of the smaller tensor. */
  readonly count: number;
  readonly dtype: Element;
  readonly stream: bigint;
}

type Collective = [input: bigint, output: bigint, count: number, dtype: number];

/**
 * NCCL, NVIDIA's library of collectives between cards.
 *
 * No call holds up the thread, whatever becomes of the other ranks. An operation is done once the communicator
 * `isSettled`, and `abort` ends it before.
 */
export class NcclLibrary {
  readonly #out: Out = new BigUint64Array(sharedBuffer(8));
  /** Memory for the handle, which the library may write after its call has returned. */
  readonly #joined: Out = new BigUint64Array(sharedBuffer(8));
  readonly #errorText: NativeFunction<(code: number) => string>;
  readonly #uniqueId: Code<[Uint8Array]>;
  readonly #join: Code<[Out, number, { internal: Uint8Array }, number, Uint8Array]>;
  readonly #reduceScatter: Code<[...Collective, operation: number, handle: bigint, stream: bigint]>;
  readonly #allGather: Code<[...Collective, handle: bigint, stream: bigint]>;
  readonly #asyncError: Code<[bigint, Out]>;
  readonly #abort: Code<[bigint]>;

  /** @throws DEVICE_MISSING when the library is not found, with the ways out */
  constructor() {
    const library = openLibrary(
      'NCCL, by which cards train together,',
      ['libnccl.so.2', 'libnccl.so'],
      'install it, as in `pip install nvidia-nccl-cu13`, and put its folder on LD_LIBRARY_PATH, ' +
        'or train on one card with trainer.n_gpus_per_node=1',
    );
    const id = koffi.struct({ internal: koffi.array('uint8_t', NCCL_ID_BYTES, 'Typed') });
    this.#errorText = library.func('ncclGetErrorString', 'const char *', ['int']) as never;
    this.#uniqueId = define(library, 'ncclGetUniqueId', ['void *']);
    this.#join = library.func('ncclCommInitRankConfig', 'int', [
      ...['void *', 'int', id, 'int', 'void *'],
    ]) as never;
    const transfer = ['void *', 'void *', 'size_t', 'int'];
    this.#reduceScatter = define(library, 'ncclReduceScatter', [
      ...[...transfer, 'int', 'void *', 'void *'],
    ]);
    this.#allGather = define(library, 'ncclAllGather', [...transfer, 'void *', 'void *']);
    this.#asyncError = define(library, 'ncclCommGetAsyncError', ['void *', 'void *']);
    this.#abort = define(library, 'ncclCommAbort', ['void *']);
  }

  /** Makes the identifier of a new communicator, which all ranks need to join. */
  uniqueId(): Uint8Array {
    const id = new Uint8Array(NCCL_ID_BYTES);
    this.#check(this.#uniqueId(id), 'ncclGetUniqueId');
    return id;
  }

  /** Begins to join a communicator on the card that this thread uses. To be called once for each library. */
  join(id: Uint8Array, rank: number, size: number): bigint {
    const settings = new DataView(new ArrayBuffer(config.size));
    settings.setBigUint64(0, BigInt(config.size), true);
    settings.setUint32(8, config.magic, true);
    settings.setUint32(12, config.version, true);
    settings.setInt32(16, config.blocking, true);
    const bytes = new Uint8Array(settings.buffer);
    const code = this.#join(this.#joined, size, { internal: id }, rank, bytes);
    this.#check(code, 'ncclCommInitRankConfig');
    return this.#joined[0]!;
  }

  /** Begins to queue the sum of the inputs of all ranks, of which each gets its part. */
  reduceScatter(handle: bigint, { input, output, count, dtype, stream }: Transfer): void {
    const type = dataTypes[dtype];
    const code = this.#reduceScatter(input, output, count, type, SUM, handle, stream);
    this.#check(code, 'ncclReduceScatter');
  }

  /** Begins to queue the copy of the inputs of all ranks to each. */
  allGather(handle: bigint, { input, output, count, dtype, stream }: Transfer): void {
    const code = this.#allGather(input, output, count, dataTypes[dtype], handle, stream);
    this.#check(code, 'ncclAllGather');
  }

  /**
   * True once an operation that was begun is joined, or queued.
   *
   * @throws RUNTIME_FAILED once the communicator has failed, a transfer under way included
   */
  isSettled(handle: bigint): boolean {
    this.#check(this.#asyncError(handle, this.#out), 'ncclCommGetAsyncError');
    const state = Number(this.#out[0]! & 0xffffffffn);
    this.#check(state, 'nccl');
    return state !== IN_PROGRESS;
  }

  /** Ends a communicator here, and its operation. Others that wait for this rank are not told. */
  abort(handle: bigint): void {
    this.#check(this.#abort(handle), 'ncclCommAbort');
  }

  #check(code: number, call: string): void {
    if (code === 0 || code === IN_PROGRESS) return;
    throw new CxmindError('RUNTIME_FAILED', `${call}: ${this.#errorText(code)}`, {
      detail: { code },
    });
  }
}
