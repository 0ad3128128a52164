/**
 * Weights and gradients, taken module by module: they stay on a device, or are brought there from a file or from this
 * process's memory.
 */
import type { Device, View, Views } from '../../device/device.ts';
import { bringInView, bringInViewAhead, letGoView } from '../../device/host-tensors.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import type { ParameterShape } from './arena-layout.ts';
import type { Arena } from './arena.ts';
import type { DeviceArena } from './device-arena.ts';
import type { Modules } from './modules.ts';

/** A module's parameters on the device, by the inputs of its graph, until they are given back. */
export interface Lease extends Disposable {
  readonly views: Views;
}

/** A model's weights, taken module by module, so that those not in use may be elsewhere. */
export interface WeightSource {
  /** True where leases show the weights themselves, and so every change to them. */
  readonly isInPlace: boolean;
  /**
   * Takes the weights of a module, until the lease is disposed.
   *
   * @param next the module that is taken next, which may be brought in meanwhile; left out where none is known
   */
  take(module: string, next?: string): Promise<Lease>;
}

/** The place of a model's gradients, taken module by module. */
export interface GradientSink {
  /** Modules with trained parameters. */
  readonly trained: ReadonlySet<string>;
  /** Takes the accumulators of a module's gradients; there are none where nothing of it is trained. */
  take(module: string): Promise<Lease>;
}

/** Parameters that stay on a device. */
export class ResidentModules implements WeightSource, GradientSink {
  readonly isInPlace = true;
  readonly trained: ReadonlySet<string>;
  readonly #leases = new Map<string, Lease>();

  /** @param modules modules whose parameters the arena lacks are left out */
  constructor(arena: DeviceArena, modules: Modules) {
    for (const [module, { inputs }] of modules) {
      const entries = Object.entries(inputs);
      const parameters = entries.flatMap(([, input]) => input.parameters);
      if (!parameters.every(({ name }) => arena.has(name))) continue;
      const views = Object.fromEntries(
        entries.map(([input, { parameters, shape, part }]) => [
          input,
          arena.span(namesOf(parameters), shape, part),
        ]),
      );
      this.#leases.set(module, { views, [Symbol.dispose]: () => undefined });
    }
    this.trained = new Set(
      [...this.#leases]
        .filter(([, { views }]) => Object.keys(views).length > 0)
        .map(([key]) => key),
    );
  }

  take(module: string): Promise<Lease> {
    return Promise.resolve(this.lease(module));
  }

  /** Takes a module at once, since everything is there. */
  lease(module: string): Lease {
    return this.#leases.get(module) ?? NOTHING;
  }
}

/** Parameters of an arena in a file. A module is in memory while it is taken, and the next one is read meanwhile. */
export class PagedModules implements WeightSource {
  readonly isInPlace = true;
  readonly #resident: ResidentModules;
  /** Number of leases of each module. */
  readonly #holders = new Map<string, number>();
  /** The module that is being read before it is taken. */
  #ahead: { readonly module: string; readonly arrival: Promise<unknown> } | null = null;

  constructor(resident: ResidentModules) {
    this.#resident = resident;
  }

  async take(module: string, next?: string): Promise<Lease> {
    const { views } = this.#resident.lease(module);
    this.#holders.set(module, this.#holdersOf(module) + 1);
    await this.#arrived();
    for (const view of Object.values(views)) bringInView(view, 'read');
    if (next !== undefined) this.#expect(next);
    let isHeld = true;
    return {
      views,
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#holders.set(module, this.#holdersOf(module) - 1);
        this.#letGoUnheld(module);
      },
    };
  }

  #expect(module: string): void {
    const views = Object.values(this.#resident.lease(module).views);
    this.#ahead = { module, arrival: Promise.all(views.map(bringInViewAhead)) };
  }

  /** Waits for the module that is being read, and drops it if it is not taken. */
  async #arrived(): Promise<void> {
    const ahead = this.#ahead;
    if (ahead === null) return;
    this.#ahead = null;
    await ahead.arrival;
    this.#letGoUnheld(ahead.module);
  }

  #letGoUnheld(module: string): void {
    if (this.#holdersOf(module) > 0) return;
    for (const view of Object.values(this.#resident.lease(module).views)) letGoView(view);
  }

  #holdersOf(module: string): number {
    return this.#holders.get(module) ?? 0;
  }
}

/** Parameters in this process's memory, copied to a device with memory of its own while they are taken. */
export class OffloadedModules implements WeightSource {
  readonly isInPlace = false;
  readonly #device: Device;
  readonly #arena: Arena<FloatDType>;
  readonly #modules: Modules;

  constructor(device: Device, arena: Arena<FloatDType>, modules: Modules) {
    this.#device = device;
    this.#arena = arena;
    this.#modules = modules;
    device.pin(arena.flat);
  }

  take(module: string): Promise<Lease> {
    const workspace = this.#device.workspace();
    const views: Record<string, View> = {};
    const { inputs = {} } = this.#modules.get(module) ?? {};
    for (const [input, { parameters, shape, part }] of Object.entries(inputs)) {
      views[input] = workspace.put(this.#arena.span(namesOf(parameters), shape, part));
    }
    return Promise.resolve({ views, [Symbol.dispose]: () => workspace[Symbol.dispose]() });
  }
}

const NOTHING: Lease = { views: {}, [Symbol.dispose]: () => undefined };

function namesOf(parameters: readonly ParameterShape[]): string[] {
  return parameters.map(({ name }) => name);
}

/** The weights of a base model together with its adapters. */
export class AdaptedWeights implements WeightSource {
  readonly isInPlace: boolean;
  readonly #base: WeightSource;
  readonly #adapters: WeightSource;

  constructor(base: WeightSource, adapters: WeightSource) {
    this.isInPlace = base.isInPlace && adapters.isInPlace;
    this.#base = base;
    this.#adapters = adapters;
  }

  async take(module: string, next?: string): Promise<Lease> {
    const base = await this.#base.take(module, next);
    const adapters = await this.#adapters.take(module, next);
    return {
      views: { ...base.views, ...adapters.views },
      [Symbol.dispose]() {
        base[Symbol.dispose]();
        adapters[Symbol.dispose]();
      },
    };
  }
}
