import type {
  BoundProgram,
  Device,
  Handles,
  Operations,
  Profile,
  Program,
  Recording,
  View,
  Views,
  Workspace,
} from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import type { Graph } from '../../src/graph/ir.ts';
import { bytesPerElement, type DType } from '../../src/tensor/dtype.ts';
import { reshaped, sizeOf, zeros, type Tensor } from '../../src/tensor/tensor.ts';

interface FarView<D extends DType = DType> extends View<D> {
  readonly near: View<D>;
}

/** Tensors that a workspace has given out. */
interface Given {
  readonly views: View[];
  /** True where a recording works in them, so that they stay. */
  isRecorded: boolean;
}

/**
 * A stand-in for a card: the processor as a device with memory of its own, which only `upload` and `download` reach.
 *
 * Code that runs on it runs on a card too, and here gives the processor's numbers. Memory that `trim` frees is filled with
 * NaN.
 */
export class FarDevice implements Device {
  readonly name: string = 'far';
  readonly computeDTypes;
  readonly host = null;
  readonly isAddressable = true;
  readonly hasKernels: boolean;
  readonly operations: Operations;
  readonly handles: Handles;
  readonly #near: Device;
  readonly #allocations: View[] = [];
  readonly #workspaces = new Set<Given>();
  #isRecording = false;
  #bytes = 0;
  #mostBytes = 0;

  readonly #freeBytes: number | null;

  /**
   * @param hasKernels whether it says so; fused ops then run as plain ONNX
   * @param freeBytes of memory that it says nobody has
   */
  constructor(hasKernels = false, freeBytes: number | null = null) {
    this.#freeBytes = freeBytes;
    this.hasKernels = hasKernels;
    this.#near = openDevice({ threads: 1 });
    this.computeDTypes = this.#near.computeDTypes;
    const { operations } = this.#near;
    this.operations = {
      zero: (target) => operations.zero(near(target)),
      copy: (from, to) => operations.copy(near(from), near(to)),
      gatherRows: (...views) => operations.gatherRows(...nearRows(views)),
      placeRows: (...views) => operations.placeRows(...nearRows(views)),
      addRows: (...views) => operations.addRows(...nearRows(views)),
      squaredSum: (view) => operations.squaredSum(near(view)),
    };
    this.handles = {
      of: (view) => BigInt(this.#allocations.push(near(view))),
      view: (handle, dtype, shape) => {
        const allocation = this.#allocations[Number(handle) - 1]!;
        return this.#far(reshaped(allocation, shape) as View<typeof dtype>);
      },
    };
  }

  allocate<D extends DType>(dtype: D, shape: readonly number[]): View<D> & Disposable {
    const view = this.#near.allocate(dtype, shape);
    const bytes = sizeOf(shape) * bytesPerElement(dtype);
    this.#hold(bytes);
    const dispose = (): void => {
      this.#bytes -= bytes;
      view[Symbol.dispose]();
    };
    return { ...this.#far(view), [Symbol.dispose]: dispose };
  }

  /** Bytes that were allocated at most at a time; of workspaces those that nothing but tensors of the host was put in. */
  get mostBytes(): number {
    return this.#mostBytes;
  }

  #hold(bytes: number): void {
    this.#bytes += bytes;
    this.#mostBytes = Math.max(this.#mostBytes, this.#bytes);
  }

  workspace(): Workspace {
    const inner = this.#near.workspace();
    const given: Given = { views: [], isRecorded: false };
    this.#workspaces.add(given);
    const far = <D extends DType>(view: View<D>): View<D> => {
      given.views.push(view);
      given.isRecorded ||= this.#isRecording;
      return this.#far(view);
    };
    let [held, isOfPass] = [0, false];
    const letGo = (): void => {
      this.#bytes -= held;
      held = 0;
    };
    const asOfPass = (): Workspace => {
      letGo();
      isOfPass = true;
      return inner;
    };
    return {
      take: (dtype, shape) => far(asOfPass().take(dtype, shape)),
      put: (tensor) => {
        const view = far(inner.take(tensor.dtype, tensor.shape));
        if (!isOfPass) {
          held += tensor.data.byteLength;
          this.#hold(tensor.data.byteLength);
        }
        this.upload(tensor, view);
        return view;
      },
      scope: () => asOfPass().scope(),
      reset: () => {
        given.views.splice(0);
        asOfPass().reset();
      },
      get sizeBytes() {
        return inner.sizeBytes;
      },
      [Symbol.dispose]: () => {
        this.#workspaces.delete(given);
        letGo();
        inner[Symbol.dispose]();
      },
    };
  }

  part<D extends DType>(view: View<D>, start: number, shape: readonly number[]): View<D> {
    return this.#far(this.#near.part(near(view), start, shape));
  }

  upload(from: Tensor, to: View): void {
    this.#near.upload(from, near(to));
  }

  download<D extends DType>(view: View<D>): Promise<Tensor<D>> {
    return this.#near.download(near(view));
  }

  compile(graph: Graph): Program {
    const program = this.#near.compile(graph);
    return {
      graph,
      run: (inputs, workspace, into = {}) => {
        const taking = {
          take: (dtype: DType, shape: readonly number[]) => near(workspace.take(dtype, shape)),
        } as Workspace;
        const outputs = program.run(mapped(inputs, near), taking, mapped(into, near));
        return { ...mapped(outputs, (view) => this.#far(view)), ...into };
      },
      bind: () => farBinding(program.bind()),
      [Symbol.dispose]: () => program[Symbol.dispose](),
    };
  }

  record(work: () => void): Recording {
    // As often as a card that warms up, of which nothing may come.
    this.#isRecording = true;
    for (let i = 0; i < 3; i++) work();
    const recording = this.#near.record(work);
    this.#isRecording = false;
    return recording;
  }

  profile(): Profile {
    return this.#near.profile();
  }

  pin(): void {
    return;
  }

  trim(): void {
    for (const { views, isRecorded } of this.#workspaces) {
      if (isRecorded) continue;
      for (const view of views.splice(0)) {
        if (view.dtype !== 'f32') continue;
        const freed = zeros('f32', view.shape);
        freed.data.fill(NaN);
        this.#near.upload(freed, view);
      }
    }
  }

  freeBytes(): number | null {
    return this.#freeBytes;
  }

  idle(): Promise<void> {
    return this.#near.idle();
  }

  [Symbol.dispose](): void {
    this.#near[Symbol.dispose]();
  }

  #far<D extends DType>(view: View<D>): FarView<D> {
    return { device: this, dtype: view.dtype, shape: view.shape, near: view };
  }
}

function near<D extends DType>(view: View<D>): View<D> {
  return reshaped((view as FarView<D>).near, view.shape);
}

function nearRows([from, index, to]: [View, View<'i32'>, View]): [View, View<'i32'>, View] {
  return [near(from), near(index), near(to)];
}

function mapped(views: Views, change: (view: View) => View): Views {
  return Object.fromEntries(Object.entries(views).map(([name, view]) => [name, change(view)]));
}

function farBinding(inner: BoundProgram): BoundProgram {
  return {
    input(name, view) {
      inner.input(name, near(view));
      return this;
    },
    output(name, view) {
      inner.output(name, near(view));
      return this;
    },
    run: () => inner.run(),
    [Symbol.dispose]: () => inner[Symbol.dispose](),
  };
}
