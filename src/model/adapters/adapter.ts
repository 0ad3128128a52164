/**
 * Low-rank adapters (LoRA, Hu et al., arXiv:2106.09685): a module with weight `W [out, in]` computes `x Wᵀ + alpha /
 * rank · (x Aᵀ) Bᵀ` with `A [rank, in]` and `B [out, rank]`, and only A and B are trained.
 */
import { keyOf, Rng } from '../../rng.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import type { Arena } from '../weights/arena.ts';
import type { AnyArena } from '../weights/device-arena.ts';
import type { Layer } from '../decoder-layers.ts';
import type { Module, Modules, Product, WeightInput, WeightInputs } from '../weights/modules.ts';

/** Size of low-rank adapters, and the linear modules that have them. Plain data. */
export interface AdapterSpec {
  readonly rank: number;
  readonly alpha: number;
  /** Linear modules by the hub's names, in arena order. */
  readonly modules: readonly string[];
}

/** Low-rank adapters of a model: A and B of every linear module that has them. */
export interface Adapter<D extends FloatDType = 'f32'> {
  readonly spec: AdapterSpec;
  /** `<module>.lora_A.weight` and `<module>.lora_B.weight`, laid out by `adapterLayout`. */
  readonly arena: Arena<D>;
}

/** Adapters in an arena that a model computes with. */
export interface PlacedAdapter {
  readonly spec: AdapterSpec;
  readonly arena: AnyArena;
}

/** The adapters in a module's graph. */
export interface GraphAdapters {
  readonly rank: number;
  /** Factor on every product with an adapter: alpha over rank. */
  readonly scale: number;
  /** Adapted linear modules by their names inside the module. */
  readonly modules: readonly string[];
}

/** The adapters of one module of a model. */
export interface ModuleAdapters extends GraphAdapters, WeightInputs {}

/** The adapters of a graph that has none. */
export const NO_ADAPTERS: GraphAdapters = { rank: 0, scale: 0, modules: [] };

/** The part of a spec that concerns one module of a model, with its parameters in arena order. */
export function moduleAdapters(
  { rank, alpha, modules }: AdapterSpec,
  { prefix, products }: Module,
): ModuleAdapters {
  const start = `${prefix}.`;
  const own = modules
    .filter((module) => module.startsWith(start))
    .map((module) => module.slice(start.length));
  const adapters = { rank, scale: alpha / rank, modules: own };
  const inputs: Record<string, WeightInput> = {};
  for (const product of products) {
    const adapted = adaptedModules(product, adapters);
    if (adapted.length === 0) continue;
    const shape = [rank, product.inner];
    inputs[adapterInput.a(product)] = {
      parameters: adapted.map(({ name }) => ({ name: loraA(`${start}${name}`), shape })),
    };
    for (const { name, out } of adapted) {
      const b = { name: loraB(`${start}${name}`), shape: [out, rank] };
      inputs[adapterInput.b(name)] = { parameters: [b] };
    }
  }
  return { ...adapters, inputs };
}

/** Makes a value for each layer of a stack; layers of one config with like adapters share one. */
export function sharedByLayers<C, T extends object>(
  layers: readonly Layer<C>[],
  adapters: Modules<ModuleAdapters> | null,
  make: (config: C, adapters: ModuleAdapters | undefined, name: string) => T,
): T[] {
  const made = new Map<C, Map<string, T>>();
  return layers.map(({ name, config }) => {
    const own = adapters?.get(name);
    const key = own?.modules.join() ?? '';
    const alike = made.get(config) ?? new Map<string, T>();
    const value = alike.get(key) ?? make(config, own, name);
    made.set(config, alike.set(key, value));
    return value;
  });
}

/** The linear modules of a product that have adapters. */
export function adaptedModules(product: Product, { modules }: GraphAdapters): Product['modules'] {
  return product.modules.filter(({ name }) => modules.includes(name));
}

/** Name of A of a linear module, as PEFT has it. */
export const loraA = (module: string): string => `${module}.lora_A.weight`;
/** Name of B of a linear module, as PEFT has it. */
export const loraB = (module: string): string => `${module}.lora_B.weight`;

/**
 * Fills new adapters: A uniform within ±1/√in, as PEFT does, and B with zeros, so that the model begins as it is
 * without adapters. The values of a module depend on the seed and its name alone.
 */
export function initializeAdapter({ spec, arena }: Adapter, seed: number): void {
  for (const module of spec.modules) {
    const rng = new Rng(keyOf('lora', seed, module));
    const { shape, data } = arena.tensor(loraA(module));
    const bound = 1 / Math.sqrt(shape[1]!);
    for (let i = 0; i < data.length; i++) data[i] = (2 * rng.nextUniform() - 1) * bound;
    arena.tensor(loraB(module)).data.fill(0);
  }
}

/** Names under which a graph takes a product's adapters: A of all its linear modules as one, B of each. */
export const adapterInput = {
  a: (product: Product): string => `loraA.${product.name}`,
  b: (module: string): string => `loraB.${module}`,
};
