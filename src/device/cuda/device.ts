import { GraphBuilder } from '../../graph/builder.ts';
import { encodeScheduled, kernelDomain } from '../../graph/encode.ts';
import type { Graph } from '../../graph/ir.ts';
import { kernelGraphOf, scheduled, type Schedule } from '../../graph/schedule.ts';
import { cuda } from '../../graph/target.ts';
import type { DeviceAllocator } from '../../ort/device-allocator.ts';
import { Runtime, type RuntimeOptions } from '../../ort/runtime.ts';
import type { Session } from '../../ort/session.ts';
import { bytesPerElement, type DType } from '../../tensor/dtype.ts';
import { byteLengthOf, checkPart, zeros, type Tensor } from '../../tensor/tensor.ts';
import type {
  Device,
  Handles,
  HostMemory,
  Profile,
  Program,
  Recording,
  View,
  Workspace,
} from '../device.ts';
import { ortProgram } from '../ort-program.ts';
import { Cudart } from './cudart.ts';
import { kernelModel, type KernelModel } from './kernel-model.ts';
import { KernelProgram, type KernelStage } from './kernel-program.ts';
import { KernelSteps } from './kernel-steps.ts';
import { CudaOperations } from './operations.ts';
import { profileCard } from './profile.ts';
import { Scratch } from './scratch.ts';
import { deviceAddressOf, cudaView, deviceTensor, type CudaView } from './view.ts';
import { CudaWorkspace } from './workspace.ts';

/** Runs after which ONNX Runtime and a workspace take no more memory. */
const RUNS_BEFORE_CAPTURE = 2;

/** A CUDA card through ONNX Runtime's provider. All work is queued on one stream of this thread. */
export class CudaDevice implements Device, KernelStage {
  readonly name: string;
  readonly computeDTypes = ['bf16', 'f16', 'f32'] as const;
  readonly host: HostMemory | null = null;
  readonly isAddressable = true;
  readonly hasKernels = true;
  readonly operations: CudaOperations;
  readonly steps: KernelSteps;
  readonly handles: Handles = {
    of: (view) => {
      this.#cudart.synchronize();
      return deviceAddressOf(view);
    },
    view: (address, dtype, shape) => cudaView(this, dtype, shape, address),
  };
  readonly #ordinal: number;
  readonly #runtime: Runtime;
  readonly #cudart: Cudart;
  /** The workspaces that are not disposed. */
  readonly #workspaces = new Set<CudaWorkspace>();
  /** Scratch memory of the programs that run now: a recording has its own. */
  #scratch: Scratch;
  readonly #allocator: DeviceAllocator;
  readonly #owned: DisposableStack;

  /** @throws DEVICE_MISSING when there is no such card, or no provider for it */
  constructor(ordinal: number, options: RuntimeOptions = {}) {
    using made = new DisposableStack();
    this.name = `cuda:${ordinal}`;
    this.#ordinal = ordinal;
    this.#cudart = new Cudart(ordinal);
    made.defer(() => {
      this.#cudart.destroyStream();
    });
    this.steps = made.use(new KernelSteps(this.#cudart));
    this.#scratch = made.use(new Scratch(this.#cudart));
    this.#runtime = made.use(new Runtime(options));
    const smallest = made.use(this.#session(scheduled(smallestGraph(), cuda)).session);
    this.#allocator = made.use(smallest.allocator('Cuda', ordinal));
    this.operations = made.use(new CudaOperations(this, this.#cudart));
    this.#owned = made.move();
  }

  /** The stream of all work, for libraries that queue work of their own. */
  get stream(): bigint {
    return this.#cudart.stream;
  }

  allocate<D extends DType>(dtype: D, shape: readonly number[]): CudaView<D> & Disposable {
    const bytes = Math.max(1, byteLengthOf({ dtype, shape }));
    const address = this.#cudart.allocate(bytes);
    this.#cudart.zero(address, bytes);
    return {
      ...cudaView(this, dtype, shape, address),
      [Symbol.dispose]: () => {
        this.#cudart.free(address);
      },
    };
  }

  workspace(): Workspace {
    const workspace = new CudaWorkspace(this, this.#cudart, () => {
      this.#workspaces.delete(workspace);
    });
    this.#workspaces.add(workspace);
    return workspace;
  }

  part<D extends DType>(view: View<D>, start: number, shape: readonly number[]): CudaView<D> {
    checkPart(view, start, shape);
    const offset = BigInt(start * bytesPerElement(view.dtype));
    return cudaView(this, view.dtype, shape, deviceAddressOf(view) + offset);
  }

  upload(from: Tensor, to: View): void {
    const { data } = from;
    if (data.length === 0) return;
    this.#cudart.copy(data, deviceAddressOf(to), data.byteLength, 'hostToDevice');
  }

  download<D extends DType>(view: View<D>): Promise<Tensor<D>> {
    const target = zeros(view.dtype, view.shape);
    const { data } = target;
    if (data.length > 0) {
      this.#cudart.copy(deviceAddressOf(view), data, data.byteLength, 'deviceToHost');
    }
    return Promise.resolve(target);
  }

  compile(graph: Graph): Program {
    const schedule = scheduled(graph, cuda);
    const kernels = kernelGraphOf(schedule, cuda);
    if (kernels !== undefined) return new KernelProgram(graph, kernels, this);
    const { session, begin } = this.#session(schedule);
    return ortProgram(graph, session, (view) => deviceTensor(this.#allocator, view), begin);
  }

  /** True if all queued work is done. Unlike `idle`, it never blocks the thread. */
  isIdle(): boolean {
    return this.#cudart.isIdle();
  }

  record(work: () => void): Recording {
    using made = new DisposableStack();
    const scratch = made.use(new Scratch(this.#cudart));
    const outer = this.#scratch;
    this.#scratch = scratch;
    let graph: bigint;
    try {
      // The first runs may still take memory. A CUDA graph must find its memory in place.
      for (let i = 0; i < RUNS_BEFORE_CAPTURE; i++) work();
      graph = this.#cudart.capture(work);
    } finally {
      this.#scratch = outer;
    }
    const owned = made.move();
    return {
      run: () => {
        this.observed('recorded', () => {
          this.#cudart.launch(graph);
        });
      },
      [Symbol.dispose]: () => {
        this.#cudart.destroyGraph(graph);
        owned.dispose();
      },
    };
  }

  profile(): Profile {
    return profileCard(this.name, this.#cudart, this.#runtime, this.steps);
  }

  pin({ data }: Tensor): void {
    this.#cudart.pin(data);
    this.#owned.defer(() => {
      this.#cudart.unpin(data);
    });
  }

  trim(): void {
    for (const workspace of this.#workspaces) workspace.trim();
    this.#scratch.trim();
  }

  freeBytes(): number {
    return this.#cudart.memory().free;
  }

  idle(): Promise<void> {
    this.#cudart.synchronize();
    return Promise.resolve();
  }

  scratch(byteLength: number): bigint {
    return this.#scratch.take(byteLength);
  }

  constant(tensor: Tensor): CudaView & Disposable {
    const view = this.allocate(tensor.dtype, tensor.shape);
    this.upload(tensor, view);
    return view;
  }

  observed(name: string, queue: () => void): void {
    const { observer } = this.#runtime;
    observer?.start(name);
    queue();
    observer?.end();
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  #session(schedule: Schedule): { session: Session; begin: KernelModel['begin'] } {
    const { model, kernelNodes } = encodeScheduled(schedule, cuda);
    const { name, inputs } = schedule.graph;
    const { ops, begin } = kernelModel(inputs, kernelNodes, this.steps);
    const session = this.#runtime.compile(model, {
      name,
      provider: 'cuda',
      modelOps: { domain: kernelDomain, ops },
      ordinal: this.#ordinal,
      waitForDevice: () => {
        this.#cudart.synchronize();
      },
      settings: {
        has_user_compute_stream: '1',
        user_compute_stream: String(this.#cudart.stream),
        // Without TF32, f32 agrees with the processor's. bf16 is there for speed.
        use_tf32: '0',
      },
    });
    return { session, begin };
  }
}

/** A graph for the session that gives access to the card's memory. */
function smallestGraph(): Graph {
  const g = new GraphBuilder('cuda-memory');
  g.output('y', g.neg(g.input('x', 'f32', ['n'])));
  return g.build();
}
