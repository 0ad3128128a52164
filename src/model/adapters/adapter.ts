import { keyOf, Rng } from '../../rng.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import type { Arena } from '../weights/arena.ts';
import type { AnyArena } from '../weights/device-arena.ts';
import type { Product, ProductBlock } from '../weights/products.ts';

/** Which modules have low-rank adapters, and of what size: plain data. */
export interface AdapterSpec {
  readonly rank: number;
  readonly alpha: number;
  /** Linear modules by the hub's names, in arena order. */
  readonly modules: readonly string[];
}

/**
 * Low-rank adapters of a model: a module with weight `W [out, in]` computes
 * `x Wᵀ + alpha / rank · (x Aᵀ) Bᵀ` with `A [rank, in]` and `B [out, rank]`, and only A and B are trained.
 *
 * @see Hu et al., LoRA, arXiv:2106.09685
 */
export interface Adapter<D extends FloatDType = 'f32'> {
  readonly spec: AdapterSpec;
  /** `<module>.lora_A.weight` and `<module>.lora_B.weight`, laid out by `adapterLayout`. */
  readonly arena: Arena<D>;
}

/** Adapters where a model computes with them. */
export interface PlacedAdapter {
  readonly spec: AdapterSpec;
  readonly arena: AnyArena;
}

/** The adapters in a block's graph. */
export interface GraphAdapters {
  readonly rank: number;
  /** Factor on every product with an adapter: alpha over rank. */
  readonly scale: number;
  /** Adapted modules by their names inside the block. */
  readonly modules: readonly string[];
}

/** The adapters of one block of a model. */
export interface BlockAdapters extends GraphAdapters, ProductBlock {}

/** Those of a graph without any. */
export const NO_ADAPTERS: GraphAdapters = { rank: 0, scale: 0, modules: [] };

/** The part of a spec that concerns a block. */
export function blockAdapters(spec: AdapterSpec, block: ProductBlock): BlockAdapters {
  const { prefix, products } = block;
  const start = `${prefix}.`;
  return {
    prefix,
    products,
    rank: spec.rank,
    scale: spec.alpha / spec.rank,
    modules: spec.modules
      .filter((module) => module.startsWith(start))
      .map((module) => module.slice(start.length)),
  };
}

/** The modules of a product that have adapters. */
export function adaptedModules(product: Product, { modules }: GraphAdapters): Product['modules'] {
  return product.modules.filter(({ name }) => modules.includes(name));
}

export const loraA = (module: string): string => `${module}.lora_A.weight`;
export const loraB = (module: string): string => `${module}.lora_B.weight`;

/**
 * Fills a new adapter's A, uniform within ±1/√in as PEFT has it, and B with zeros, so that the model begins as it
 * is without adapters. What a module gets depends on the seed and its name alone.
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

/** Names under which a block's graph takes a product's adapters: A of all its modules as one, B of each. */
export const adapterInput = {
  a: (product: Product): string => `loraA.${product.name}`,
  b: (module: string): string => `loraB.${module}`,
};

/** Names of all adapter inputs of a block's graph. */
export function adapterInputs(adapters: BlockAdapters): string[] {
  return adapters.products.flatMap((product) => {
    const modules = adaptedModules(product, adapters);
    if (modules.length === 0) return [];
    return [adapterInput.a(product), ...modules.map(({ name }) => adapterInput.b(name))];
  });
}
