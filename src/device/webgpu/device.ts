import { CxmindError } from '../../errors.ts';
import type { Graph } from '../../graph/ir.ts';
import type { DeviceMemory } from '../../ort/device-memory.ts';
import { Runtime, type RuntimeOptions } from '../../ort/runtime.ts';
import { bytesPerElement, type DType, type FloatDType } from '../../tensor/dtype.ts';
import { reshaped, sizeOf, zeros, type Tensor } from '../../tensor/tensor.ts';
import type {
  Device,
  HostMemory,
  Profile,
  Program,
  Recording,
  View,
  Workspace,
} from '../device.ts';
import { ProgramOperations } from '../program-operations.ts';
import { repeated } from '../repeated.ts';
import { profileRuns } from '../run-times.ts';
import { Transfer } from './transfer.ts';
import { bufferView, Storage, storageOf, type BufferView } from './view.ts';
import { WebGpuProgram } from './program.ts';
import { BufferWorkspace } from './workspace.ts';

/** A graphics card by way of WebGPU, through ONNX Runtime's provider. Every tensor is a buffer. */
export class WebGpuDevice implements Device {
  readonly name = 'webgpu';
  readonly computeDTypes: readonly FloatDType[];
  readonly host: HostMemory | null = null;
  readonly isAddressable = false;
  readonly hasKernels = false;
  readonly operations: ProgramOperations;
  readonly handles = null;
  readonly #runtime: Runtime;
  readonly #transfer: Transfer;
  readonly #memory: DeviceMemory;
  readonly #spare: BufferWorkspace;
  readonly #owned: DisposableStack;

  /** @throws DEVICE_MISSING when there is no adapter */
  constructor(options: RuntimeOptions = {}) {
    using made = new DisposableStack();
    this.#runtime = made.use(Runtime.open(options));
    this.#transfer = made.use(new Transfer(this.#runtime));
    this.#memory = made.use(this.#transfer.memory());
    this.#spare = made.use(new BufferWorkspace(this, this.#memory));
    this.operations = made.use(new ProgramOperations(this));
    this.computeDTypes = this.#hasF16() ? ['f16', 'f32'] : ['f32'];
    this.#owned = made.move();
  }

  allocate<D extends DType>(dtype: D, shape: readonly number[]): BufferView<D> & Disposable {
    const storage = new Storage(this.#memory, sizeOf(shape) * bytesPerElement(dtype));
    const view = bufferView(this, dtype, shape, storage);
    this.upload(zeros(dtype, shape), view);
    return { ...view, [Symbol.dispose]: () => storage[Symbol.dispose]() };
  }

  workspace(): Workspace {
    return new BufferWorkspace(this, this.#memory);
  }

  reshape<D extends DType>(view: View<D>, shape: readonly number[]): BufferView<D> {
    return bufferView(this, view.dtype, reshaped(view, shape).shape, storageOf(view));
  }

  part(): never {
    throw new CxmindError('INTERNAL', 'a buffer of webgpu cannot be cut');
  }

  upload(from: Tensor, to: View): void {
    this.#transfer.upload(from, storageOf(to).tensor(to.dtype, from.shape));
  }

  download<D extends DType>(view: View<D>): Promise<Tensor<D>> {
    const { dtype, shape } = view;
    const target = zeros(dtype, shape);
    this.#transfer.download(storageOf(view).tensor(dtype, shape), target);
    return Promise.resolve(target);
  }

  compile(graph: Graph): Program {
    return new WebGpuProgram(this.#runtime, graph, this.#spare);
  }

  record(work: () => void): Recording {
    return repeated(work);
  }

  profile(): Profile {
    return profileRuns(this.#runtime);
  }

  freeBytes(): null {
    return null;
  }

  idle(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  /** Whether shaders of the adapter compute in f16, which WebGPU leaves to it. */
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
