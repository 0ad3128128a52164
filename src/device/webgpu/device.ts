import { CxmindError } from '../../errors.ts';
import type { Graph } from '../../graph/ir.ts';
import type { DeviceAllocator } from '../../ort/device-allocator.ts';
import { Runtime, type RuntimeOptions } from '../../ort/runtime.ts';
import type { DType, FloatDType } from '../../tensor/dtype.ts';
import { byteLengthOf, zeros, type Tensor } from '../../tensor/tensor.ts';
import { BlockingDevice } from '../blocking-device.ts';
import type { Device, HostMemory, Program, View, Workspace } from '../device.ts';
import { ProgramOperations } from '../program-operations.ts';
import { Transfer } from './transfer.ts';
import { Storage, storageOf, type BufferView } from './view.ts';
import { webGpuProgram } from './program.ts';
import { BufferWorkspace } from './workspace.ts';

/** A graphics card through ONNX Runtime's WebGPU provider. Every tensor is a buffer. */
export class WebGpuDevice extends BlockingDevice implements Device {
  readonly name = 'webgpu';
  readonly computeDTypes: readonly FloatDType[];
  readonly host: HostMemory | null = null;
  readonly isAddressable = false;
  readonly hasKernels = false;
  readonly operations: ProgramOperations;
  readonly handles = null;
  readonly #transfer: Transfer;
  readonly #allocator: DeviceAllocator;
  readonly #spare: BufferWorkspace;
  readonly #owned: DisposableStack;

  /** @throws DEVICE_MISSING when there is no adapter */
  constructor(options: RuntimeOptions = {}) {
    super(new Runtime(options));
    using made = new DisposableStack();
    made.use(this.runtime);
    this.#transfer = made.use(new Transfer(this.runtime));
    this.#allocator = made.use(this.#transfer.allocator());
    this.#spare = made.use(new BufferWorkspace(this, this.#allocator));
    this.operations = made.use(new ProgramOperations(this));
    this.computeDTypes = this.#hasF16() ? ['f16', 'f32'] : ['f32'];
    this.#owned = made.move();
  }

  allocate<D extends DType>(dtype: D, shape: readonly number[]): BufferView<D> & Disposable {
    const storage = new Storage(this.#allocator, byteLengthOf({ dtype, shape }));
    const view = { device: this, dtype, shape, storage };
    this.upload(zeros(dtype, shape), view);
    return { ...view, [Symbol.dispose]: () => storage[Symbol.dispose]() };
  }

  workspace(): Workspace {
    return new BufferWorkspace(this, this.#allocator);
  }

  part(): never {
    throw new CxmindError('INTERNAL', 'a buffer of webgpu cannot be cut');
  }

  upload(from: Tensor, to: View): void {
    this.#transfer.copy(from, storageOf(to).tensor(to.dtype, from.shape));
  }

  download<D extends DType>(view: View<D>): Promise<Tensor<D>> {
    const { dtype, shape } = view;
    const target = zeros(dtype, shape);
    this.#transfer.copy(storageOf(view).tensor(dtype, shape), target);
    return Promise.resolve(target);
  }

  compile(graph: Graph): Program {
    return webGpuProgram(this.runtime, graph, this.#spare);
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  /** True if shaders of this adapter compute in f16, which is optional in WebGPU. */
  #hasF16(): boolean {
    using x = this.allocate('f16', [1]);
    using y = this.allocate('f32', [1]);
    try {
      this.operations.copy(x, y);
      return true;
    } catch {
      return false;
    }
  }
}
