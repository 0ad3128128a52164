import { encode } from '../../graph/encode.ts';
import type { Graph } from '../../graph/ir.ts';
import { Runtime, type RuntimeOptions } from '../../ort/runtime.ts';
import type { DType, TypedArrays } from '../../tensor/dtype.ts';
import { checkPart, sizeOf, zeros, type Tensor } from '../../tensor/tensor.ts';
import { BlockingDevice } from '../blocking-device.ts';
import type { Device, HostMemory, Program, View, Workspace } from '../device.ts';
import { ortProgram } from '../ort-program.ts';
import { hostTensor, hostView, type HostView } from './host-view.ts';
import { cpuOperations } from './operations.ts';
import { CpuWorkspace } from './workspace.ts';

/**
 * The processor, which runs graphs through ONNX Runtime over this process's own memory.
 *
 * Its tensors stand on shared memory, so that every thread of the process may read them.
 */
export class CpuDevice extends BlockingDevice implements Device {
  readonly name = 'cpu';
  readonly computeDTypes = ['f32', 'bf16', 'f16'] as const;
  readonly isAddressable = true;
  readonly hasKernels = false;
  readonly operations = cpuOperations;
  /** None: threads see its tensors, which stand on shared memory. */
  readonly handles = null;
  readonly host: HostMemory = {
    view: (tensor) => hostView(this, tensor),
    tensor: (view) => {
      // Without the device, so that the tensor can cross threads.
      const { dtype, shape, data } = hostTensor(view);
      return { dtype, shape, data };
    },
  };

  /** @throws DEVICE_MISSING when there is no library for this machine; RUNTIME_FAILED */
  constructor(options: RuntimeOptions = {}) {
    super(new Runtime(options));
  }

  allocate<D extends DType>(dtype: D, shape: readonly number[]): HostView<D> & Disposable {
    // The garbage collector frees the memory once no thread refers to it.
    return { ...hostView(this, zeros(dtype, shape)), [Symbol.dispose]: () => undefined };
  }

  workspace(): Workspace {
    return new CpuWorkspace(this);
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
    const session = this.runtime.compile(encode(graph), { name: graph.name });
    return ortProgram(graph, session, hostTensor);
  }

  [Symbol.dispose](): void {
    this.runtime[Symbol.dispose]();
  }
}
