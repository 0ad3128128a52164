import type { Device, View, Views } from '../../device/device.ts';
import { bringInView, bringInViewAhead, letGoView } from '../../device/host-tensors.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import type { Arena } from './arena.ts';
import type { DeviceArena } from './device-arena.ts';

/** Where an input of a graph lies: parameters that are neighbours in an arena, seen as one tensor. */
export interface ParameterSpan {
  readonly names: readonly string[];
  /** Of the whole; left out, the parameters are stacked along their first axis. */
  readonly shape?: readonly number[];
}

/** The parameters of one module, by the inputs of its graph. */
export type ModuleParameters = Readonly<Record<string, ParameterSpan>>;

/** A model's modules by name: what is taken, used and given back as one. */
export type ModelModules = ReadonlyMap<string, ModuleParameters>;

/** The names of a model's modules. */
export const moduleNames = {
  embedding: 'embedding',
  layer: (index: number): string => `layers.${index}`,
  head: 'head',
  patchEmbed: 'vision.patchEmbed',
  visionBlock: (index: number): string => `vision.blocks.${index}`,
  merger: 'vision.merger',
} as const;

/** Whether a module belongs to the vision tower. */
export function isVisionModule(name: string): boolean {
  return name.startsWith('vision.');
}

/** A module's parameters while they are on the device, by the inputs of its graph. */
export interface Lease extends Disposable {
  readonly views: Views;
}

/** Gives a model's weights module by module, so that those not in use may be elsewhere. */
export interface WeightSource {
  /** Whether weights are taken where they are, so that who has them sees every change. */
  readonly isInPlace: boolean;
  /**
   * The weights of a module, to be given back by disposing the lease.
   *
   * @param next the module that is taken after it, and may come while this one is used; left out where none is known
   */
  take(module: string, next?: string): Promise<Lease>;
}

/** Takes in a model's gradients module by module. */
export interface GradientSink {
  /** The modules of which something is trained. */
  readonly trained: ReadonlySet<string>;
  /** Where a module's gradients are added to; empty where nothing of it is trained. */
  take(module: string): Promise<Lease>;
}

/** Parameters that stay where they are on a device. */
export class ResidentModules implements WeightSource, GradientSink {
  readonly isInPlace = true;
  readonly trained: ReadonlySet<string>;
  readonly #leases = new Map<string, Lease>();

  /** @param modules those of which the arena has no parameter are left out */
  constructor(arena: DeviceArena, modules: ModelModules) {
    for (const [module, parameters] of modules) {
      const entries = Object.entries(parameters);
      if (!entries.every(([, { names }]) => names.every((name) => arena.has(name)))) continue;
      const views = Object.fromEntries(
        entries.map(([input, { names, shape }]) => [input, arena.span(names, shape)]),
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

  /** The same at once: everything is there. */
  lease(module: string): Lease {
    return this.#leases.get(module) ?? NOTHING;
  }
}

/**
 * Parameters of an arena that lies in a file: a module is in memory for as long as somebody has it, and the next one
 * comes while it is used.
 */
export class PagedModules implements WeightSource {
  readonly isInPlace = true;
  readonly #resident: ResidentModules;
  /** How many have a module. */
  readonly #holders = new Map<string, number>();
  /** The module that is on its way to memory before anybody takes it. */
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

  /** Waits for what was expected, and lets go of it where it is not taken after all. */
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

/**
 * Parameters that lie in this process's memory, and come to a device with memory of its own for as long as they are
 * taken.
 */
export class OffloadedModules implements WeightSource {
  readonly isInPlace = false;
  readonly #device: Device;
  readonly #arena: Arena<FloatDType>;
  readonly #modules: ModelModules;

  constructor(device: Device, arena: Arena<FloatDType>, modules: ModelModules) {
    this.#device = device;
    this.#arena = arena;
    this.#modules = modules;
  }

  take(module: string): Promise<Lease> {
    const views: Record<string, View & Disposable> = {};
    for (const [input, { names, shape }] of Object.entries(this.#modules.get(module) ?? {})) {
      const tensor = this.#arena.span(names, shape);
      const view = this.#device.allocate(tensor.dtype, tensor.shape);
      this.#device.upload(tensor, view);
      views[input] = view;
    }
    return Promise.resolve({
      views,
      [Symbol.dispose]() {
        for (const view of Object.values(views)) view[Symbol.dispose]();
      },
    });
  }
}

const NOTHING: Lease = { views: {}, [Symbol.dispose]: () => undefined };

/** The weights of a base model, and those of its adapters beside them. */
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
