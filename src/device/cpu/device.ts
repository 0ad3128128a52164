import { encode } from '../../graph/encode.ts';
import type { Graph } from '../../graph/ir.ts';
import { Runtime, type RuntimeOptions } from '../../ort/runtime.ts';
import type { DType, TypedArrays } from '../../tensor/dtype.ts';
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
import { checkPart } from '../dims.ts';
import { OrtProgram } from '../ort-program.ts';
import { repeated } from '../repeated.ts';
import { profileRuns } from '../run-times.ts';
import { hostTensor, hostView, type HostView } from './host-view.ts';
import { cpuOperations } from './operations.ts';
import { CpuWorkspace } from './workspace.ts';

/**
 * The processor: graphs run on it through ONNX Runtime, at once, over this process's own memory.
 *
 * Its tensors stand on shared memory, so that every thread of the process may read them.
 */
export class CpuDevice implements Device {
  readonly name = 'cpu';
  readonly computeDTypes = ['f32', 'bf16', 'f16'] as const;
  readonly isAddressable = true;
  readonly hasKernels = false;
  readonly operations = cpuOperations;
  /** Its tensors stand on shared memory, which is how threads see them. */
  readonly handles = null;
  readonly host: HostMemory = {
    view: (tensor) => hostView(this, tensor),
    tensor: (view) => {
      // Without the device, so that it crosses threads as any tensor does.
      const { dtype, shape, data } = hostTensor(view);
      return { dtype, shape, data };
    },
  };
  readonly #runtime: Runtime;

  /** @throws DEVICE_MISSING when there is no library for this machine; RUNTIME_FAILED */
  constructor(options: RuntimeOptions = {}) {
    this.#runtime = Runtime.open(options);
  }

  allocate<D extends DType>(dtype: D, shape: readonly number[]): HostView<D> & Disposable {
    // The collector takes the memory back, once no thread refers to it.
    return { ...hostView(this, zeros(dtype, shape)), [Symbol.dispose]: () => undefined };
  }

  workspace(): Workspace {
    return new CpuWorkspace(this);
  }

  reshape<D extends DType>(view: View<D>, shape: readonly number[]): HostView<D> {
    return hostView(this, reshaped(hostTensor(view), shape));
  }

  part<D extends DType>(view: View<D>, start: number, shape: readonly number[]): HostView<D> {
    checkPart(view, start, shape);
    const { dtype, data } = hostTensor(view);
    const end = start + sizeOf(shape);
    return hostView(this, { dtype, shape, data: data.subarray(start, end) as TypedArrays[D] });
  }

  upload(from: Tensor, to: View): void {
    cpuOperations.copy(hostView(this, from), to);
  }

  download<D extends DType>(view: View<D>): Promise<Tensor<D>> {
    const copy = hostView(this, zeros(view.dtype, view.shape));
    cpuOperations.copy(view, copy);
    return Promise.resolve(this.host.tensor(copy));
  }

  compile(graph: Graph): Program {
    const session = this.#runtime.compile(encode(graph), { name: graph.name });
    return new OrtProgram(graph, session, hostTensor);
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
    this.#runtime[Symbol.dispose]();
  }
}
