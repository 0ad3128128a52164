import type { Tensor } from '../tensor/tensor.ts';
import { Binding, type Compiled, type End } from './binding.ts';
import type { Context } from './context.ts';
import type { Device } from './device.ts';
import { Handle } from './handle.ts';
import { describeEnds, type IoInfo } from './io-info.ts';
import { NativeText } from './native.ts';

/** A compiled graph. Made by `Runtime.compile`. */
export class Session implements Disposable {
  readonly name: string;
  readonly device: Device;
  readonly inputs: readonly IoInfo[];
  readonly outputs: readonly IoInfo[];
  readonly #context: Context;
  readonly #graph: Compiled;

  /**
   * Take ownership of a native session.
   *
   * @param options.onRelease called once, after the native session is gone
   */
  constructor(
    context: Context,
    pointer: bigint,
    options: { name: string; device: Device; isProfiled: boolean; onRelease: () => void },
  ) {
    const { native, allocator } = context;
    const { name, device, isProfiled, onRelease } = options;
    this.name = name;
    this.device = device;
    this.#context = context;
    this.inputs = describeEnds(native, pointer, allocator, 'Input', name);
    this.outputs = describeEnds(native, pointer, allocator, 'Output', name);
    const texts: NativeText[] = [];
    const ends = (infos: readonly IoInfo[]): Map<string, End> =>
      new Map(
        infos.map((info) => {
          const text = new NativeText(info.name);
          texts.push(text);
          return [info.name, { info, name: text.address }];
        }),
      );
    const f = native.functions;
    const handle = new Handle(`session ${name}`, pointer, () => {
      if (isProfiled) {
        const path = native.out(name, (slot) => f.SessionEndProfiling(pointer, allocator, slot));
        native.check(f.AllocatorFree(allocator, path), name);
      }
      f.ReleaseSession(pointer);
      for (const text of texts) text[Symbol.dispose]();
      onRelease();
    });
    this.#graph = {
      name,
      handle,
      inputs: ends(this.inputs),
      outputs: ends(this.outputs),
      copiesInputs: device !== 'cpu',
    };
  }

  /** A new binding with nothing bound. */
  bind(): Binding {
    return new Binding(this.#context, this.#graph);
  }

  /**
   * Run once with tensors in and new tensors out: for tests and rare paths, because it binds, allocates
   * and copies.
   *
   * @throws as `Binding.input` and `Binding.run`
   */
  run(inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
    using binding = this.bind();
    for (const [name, tensor] of Object.entries(inputs)) binding.input(name, tensor);
    return binding.runToTensors();
  }

  /** Release the session; bindings and runs in flight keep the native part until they end. */
  [Symbol.dispose](): void {
    this.#graph.handle[Symbol.dispose]();
  }
}
