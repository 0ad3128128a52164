import koffi from 'koffi';
import { asCxmindError } from '../errors.ts';
import type { DType } from '../tensor/dtype.ts';
import { onnxDTypes } from '../tensor/onnx-dtype.ts';
import type { Pointer } from './abi.ts';
import { bytesAt, NativeText, type Native } from './native.ts';
import type { Provider } from './provider.ts';

/** An op that a JavaScript function computes. */
export interface CustomOp {
  /** Op type in models. */
  readonly type: string;
  readonly inputs: readonly DType[];
  readonly outputs: readonly DType[];
  /** Computes one call, on the thread that runs the session. The run throws its error. */
  readonly compute: (call: CustomCall) => void;
}

/** The tensors of one call of a custom op, by their addresses on its device. */
export interface CustomCall {
  address(input: number): bigint;
  /** The address of an output with this shape. */
  output(index: number, shape: readonly number[]): bigint;
}

/** Custom ops in native memory, for the options of a session. */
interface CustomOpDomain extends Disposable {
  readonly pointer: bigint;
}

/** Version of `struct OrtCustomOp`, which grows with releases. From this one on, functions return statuses. */
const OP_VERSION = 16;
const POINTER_BYTES = 8;
/** `ORT_FAIL` */
const FAIL = 1;

/** A custom op with the native strings that describe it. */
interface Registered extends CustomOp {
  readonly name: bigint;
  /** ONNX Runtime's name of the provider that runs it; null for the CPU's. */
  readonly provider: Pointer;
}

/**
 * The custom ops of one thread's sessions, which are JavaScript functions.
 *
 * To ONNX Runtime a custom op is a table of C functions, which it calls with the table's address. The functions are the
 * same for all ops, and find the op by that address.
 */
export class CustomOps implements Disposable {
  readonly #native: Native;
  readonly #owned = new DisposableStack();
  readonly #ops = new Map<bigint, Registered>();
  #functions: readonly bigint[] | undefined;

  constructor(native: Native) {
    this.#native = native;
  }

  /** Puts ops in native memory under a domain's name. Sessions must not outlive the result. */
  domain(name: string, ops: readonly CustomOp[], provider: Provider): CustomOpDomain {
    const ort = this.#native.functions;
    using made = new DisposableStack();
    const pointer = this.#native.out(name, (slot) => ort.CreateCustomOpDomain(name, slot));
    made.adopt(pointer, ort.ReleaseCustomOpDomain);
    const runsOn =
      provider === 'cuda' ? made.use(new NativeText('CUDAExecutionProvider')).address : null;
    for (const op of ops) {
      const type = made.use(new NativeText(op.type)).address;
      const address = this.#table(made);
      this.#ops.set(address, { ...op, name: type, provider: runsOn });
      made.defer(() => this.#ops.delete(address));
      this.#native.check(ort.CustomOpDomain_Add(pointer, address), name);
    }
    return Object.assign(made.move(), { pointer });
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  /** A new `struct OrtCustomOp`. */
  #table(made: DisposableStack): bigint {
    this.#functions ??= this.#register();
    const bytes = POINTER_BYTES * (1 + this.#functions.length);
    const address = koffi.alloc('uint8_t', bytes) as bigint;
    made.adopt(address, koffi.free);
    const memory = bytesAt(address, bytes);
    const fields = new DataView(memory.buffer, memory.byteOffset, bytes);
    fields.setUint32(0, OP_VERSION, true);
    this.#functions.forEach((at, i) => {
      fields.setBigUint64(POINTER_BYTES * (1 + i), at, true);
    });
    return address;
  }

  /**
   * The functions of `struct OrtCustomOp` in its order.
   *
   * @see onnxruntime/core/session/onnxruntime_c_api.h
   */
  #register(): bigint[] {
    const P = 'void *';
    const REQUIRED = 0;
    const define = (
      returns: string,
      takes: readonly string[],
      call: (...args: never[]) => unknown,
    ): bigint => {
      const pointer = koffi.register(call, koffi.pointer(koffi.proto(returns, [...takes])));
      this.#owned.defer(() => {
        koffi.unregister(pointer);
      });
      return pointer;
    };
    const op = (at: bigint): Registered => this.#ops.get(at)!;
    const perEnd = (says: (at: bigint, index: number) => number): bigint =>
      define('int', [P, 'size_t'], says);
    const perOp = (says: (at: bigint) => number): bigint => define('int', [P], says);
    const count = (says: (at: bigint) => number): bigint => define('size_t', [P], says);
    const nothing = 0n;
    return [
      /* CreateKernel */ define(P, [P, P, P], (at: bigint) => at),
      /* GetName */ define(P, [P], (at: bigint) => op(at).name),
      /* GetExecutionProviderType */ define(P, [P], (at: bigint) => op(at).provider),
      /* GetInputType */ perEnd((at, i) => onnxDTypes[op(at).inputs[i]!]),
      /* GetInputTypeCount */ count((at) => op(at).inputs.length),
      /* GetOutputType */ perEnd((at, i) => onnxDTypes[op(at).outputs[i]!]),
      /* GetOutputTypeCount */ count((at) => op(at).outputs.length),
      /* KernelCompute */ nothing,
      /* KernelDestroy */ define('void', [P], () => undefined),
      /* GetInputCharacteristic */ perEnd(() => REQUIRED),
      /* GetOutputCharacteristic */ perEnd(() => REQUIRED),
      /* GetInputMemoryType */ perEnd(() => 0),
      /* GetVariadicInputMinArity */ perOp(() => 1),
      /* GetVariadicInputHomogeneity */ perOp(() => 0),
      /* GetVariadicOutputMinArity */ perOp(() => 1),
      /* GetVariadicOutputHomogeneity */ perOp(() => 0),
      /* CreateKernelV2 */ nothing,
      /* KernelComputeV2 */ define(P, [P, P], (kernel: bigint, context: bigint) =>
        this.#compute(op(kernel), context),
      ),
    ];
  }

  #compute({ type, compute }: Registered, context: bigint): Pointer {
    const native = this.#native;
    const ort = native.functions;
    const addressOf = (find: (slot: BigUint64Array) => Pointer): bigint => {
      const value = native.out(type, find);
      return native.out(type, (slot) => ort.GetTensorMutableData(value, slot));
    };
    try {
      compute({
        address: (input) => addressOf((slot) => ort.KernelContext_GetInput(context, input, slot)),
        output: (index, shape) => {
          const dims = native.dims(shape, type);
          return addressOf((slot) =>
            ort.KernelContext_GetOutput(context, index, dims, shape.length, slot),
          );
        },
      });
      return null;
    } catch (thrown) {
      const error = asCxmindError(thrown);
      native.raise(error);
      return ort.CreateStatus(FAIL, error.message);
    }
  }
}
