/**
 * A device that computes nothing and has no memory, but counts both.
 *
 * Whatever runs on a device runs here: models, decoders, optimizers. So their work and their memory are counted from
 * the very calls that a run makes.
 */
import type {
  Device,
  HostMemory,
  Operations,
  Profile,
  Program,
  Recording,
  View,
  Workspace,
} from '../../device/device.ts';
import type { Graph } from '../../graph/ir.ts';
import { cpu, cuda, type Target } from '../../graph/target.ts';
import type { DType, FloatDType } from '../../tensor/dtype.ts';
import { byteLengthOf, checkPart, sizeOf, zeros, type Tensor } from '../../tensor/tensor.ts';
import { Ledger } from './ledger.ts';
import { CountedProgram } from './program.ts';
import { countedView, type CountedView } from './view.ts';
import { timesWork, workOf, type Work } from './work.ts';
import { CountedWorkspace } from './workspace.ts';

/** The kind of a device: the processor, or a card with kernels and memory of its own. */
export type DeviceKind = 'cpu' | 'cuda';

const targets: Readonly<Record<DeviceKind, Target>> = { cpu, cuda };
const dtypes: Readonly<Record<DeviceKind, readonly FloatDType[]>> = {
  cpu: ['f32', 'bf16', 'f16'],
  cuda: ['bf16', 'f16', 'f32'],
};

/** Memory that a device holds at most at a time, in bytes. */
export interface PeakMemory {
  /** Tensors outside of workspaces: a cache, gradients, weights on their way. */
  readonly allocated: number;
  /** Activations, as the workspaces plan them. */
  readonly workspaces: number;
  /** Intermediate tensors of programs, in scratch memory and in ONNX Runtime's arenas. */
  readonly inside: number;
  /** Programs that were compiled. */
  readonly programs: number;
}

/**
 * A device that counts work and memory. It lowers and fuses graphs as the device that it stands for. Numbers that are
 * downloaded from it are zeros.
 */
export class CountedDevice implements Device {
  readonly name: string;
  readonly computeDTypes: readonly FloatDType[];
  readonly host: HostMemory | null;
  readonly isAddressable = true;
  readonly hasKernels: boolean;
  readonly operations: Operations;
  readonly handles = null;
  readonly ledger = new Ledger();
  readonly #kind: DeviceKind;
  readonly #workspaces = new Set<CountedWorkspace>();
  /** Most intermediate bytes of each program that has memory of its own. */
  readonly #inside = new Map<Program, number>();
  /** Most intermediate bytes of the other programs. */
  #scratch = 0;
  #programs = 0;
  #isRecording = false;
  readonly #held = { allocated: 0, workspaces: 0 };
  readonly #most = { allocated: 0, workspaces: 0 };

  constructor(kind: DeviceKind) {
    this.name = kind === 'cpu' ? 'cpu' : 'cuda:0';
    this.computeDTypes = dtypes[kind];
    this.hasKernels = kind === 'cuda';
    this.#kind = kind;
    this.operations = countedOperations(kind, (work) => this.ledger.add(work));
    this.host = kind === 'cpu' ? this.#hostMemory() : null;
  }

  /** The memory that was held at most since the device was made. */
  get memory(): PeakMemory {
    const inside = [...this.#inside.values()];
    return {
      ...this.#most,
      programs: this.#programs,
      // A process has one arena for all programs on the processor. On a card programs of kernels share scratch memory,
      // and each of the others has an arena.
      inside:
        this.#kind === 'cpu'
          ? Math.max(0, ...inside)
          : inside.reduce((sum, bytes) => sum + bytes, this.#scratch),
    };
  }

  allocate<D extends DType>(dtype: D, shape: readonly number[]): CountedView<D> & Disposable {
    const bytes = byteLengthOf({ dtype, shape });
    this.#hold('allocated', bytes);
    return {
      ...countedView(this, dtype, shape),
      [Symbol.dispose]: () => this.#hold('allocated', -bytes),
    };
  }

  /** A tensor whose memory is counted elsewhere. */
  place<D extends DType>(dtype: D, shape: readonly number[]): CountedView<D> {
    return countedView(this, dtype, shape);
  }

  workspace(): Workspace {
    const workspace = new CountedWorkspace({
      device: this,
      isRecording: () => this.#isRecording,
      hold: (bytes) => this.#hold('workspaces', bytes),
      onPut: (tensor) => this.#copied(tensor),
    });
    this.#workspaces.add(workspace);
    return workspace;
  }

  part<D extends DType>(view: View<D>, start: number, shape: readonly number[]): CountedView<D> {
    checkPart(view, start, shape);
    return countedView(this, view.dtype, shape);
  }

  pin(): void {}

  upload(from: Tensor): void {
    this.#copied(from);
  }

  download<D extends DType>(view: View<D>): Promise<Tensor<D>> {
    const tensor = zeros(view.dtype, view.shape);
    this.#copied(tensor);
    return Promise.resolve(tensor);
  }

  compile(graph: Graph): Program {
    this.#programs++;
    const program = new CountedProgram(graph, targets[this.#kind], (run) => {
      const { work, insideBytes, isScratch } = run;
      this.ledger.add(work);
      if (isScratch) this.#scratch = Math.max(insideBytes, this.#scratch);
      else this.#inside.set(program, Math.max(insideBytes, this.#inside.get(program) ?? 0));
    });
    return program;
  }

  record(work: () => void): Recording {
    this.#isRecording = true;
    const { nodes, programs: _, ...rest } = this.ledger.ofNow(work);
    this.#isRecording = false;
    const run = workOf({ ...rest, programs: 1, recorded: nodes });
    return { run: () => this.ledger.add(run), [Symbol.dispose]: () => undefined };
  }

  profile(): Profile {
    return { end: () => Promise.resolve([]) };
  }

  trim(): void {
    if (this.#kind === 'cpu') return;
    for (const workspace of this.#workspaces) workspace.trim();
  }

  freeBytes(): null {
    return null;
  }

  idle(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.dispose](): void {}

  #hold(what: 'allocated' | 'workspaces', bytes: number): void {
    this.#held[what] += bytes;
    this.#most[what] = Math.max(this.#most[what], this.#held[what]);
  }

  #copied({ data }: Tensor): void {
    if (this.#kind === 'cuda') this.ledger.add(workOf({ copied: data.byteLength }));
  }

  #hostMemory(): HostMemory {
    return {
      view: ({ dtype, shape, ...rest }) => {
        const tensor = { dtype, shape, ...rest } as Tensor<typeof dtype>;
        return { ...countedView(this, dtype, shape), tensor };
      },
      tensor: (view) =>
        (view as CountedView<typeof view.dtype>).tensor ?? zeros(view.dtype, view.shape),
    };
  }
}

/** Operations that are counted: on the processor as its loops and copies, on a card as kernels. */
function countedOperations(kind: DeviceKind, add: (work: Work) => void): Operations {
  const pass = (...views: readonly View[]): void => {
    const moved = views.reduce((sum, view) => sum + byteLengthOf(view), 0);
    add(workOf({ moved, ...(kind === 'cuda' && { programs: 1, nodes: 1 }) }));
  };
  /** A loop over numbers on the processor. */
  const loop = (view: View, ...others: readonly View[]): void => {
    if (kind === 'cuda') pass(view, ...others);
    else add(workOf({ scalars: sizeOf(view.shape) }));
  };
  const rows = (index: View<'i32'>, { dtype, shape }: View): void => {
    const one = workOf({ moved: 2 * byteLengthOf({ dtype, shape: shape.slice(1) }) });
    add(timesWork(one, index.shape[0]!));
    if (kind === 'cuda') add(workOf({ programs: 1, nodes: 1 }));
  };
  return {
    zero: (target) => pass(target),
    copy: (from, to) => pass(from, to),
    gatherRows: (_source, index, target) => rows(index, target),
    placeRows: (source, index) => rows(index, source),
    addRows: (source, _index, _target) => loop(source, source, source),
    squaredSum: (view) => {
      loop(view);
      return Promise.resolve(0);
    },
  };
}
