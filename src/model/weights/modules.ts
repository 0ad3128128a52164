/**
 * Modules, the parts of a model whose weights are taken, used and given back as one. They are described as plain data.
 */
import type { ParameterShape } from './arena-layout.ts';

/** Names of a model's modules. */
export const moduleNames = {
  embedding: 'embedding',
  layer: (index: number): string => `layers.${index}`,
  head: 'head',
  patchEmbed: 'vision.patchEmbed',
  visionBlock: (index: number): string => `vision.blocks.${index}`,
  deepstack: (index: number): string => `vision.deepstack.${index}`,
  merger: 'vision.merger',
} as const;

/** Tells whether a module belongs to the vision tower. */
export function isVisionModule(name: string): boolean {
  return name.startsWith('vision.');
}

/** A weight input of a module's graph: parameters that are neighbours in an arena, seen as one tensor. */
export interface WeightInput {
  readonly parameters: readonly ParameterShape[];
  /** Shape of the whole; left out, the parameters are stacked along their first axis. */
  readonly shape?: readonly number[];
  /** Index of the part that this input is, if the whole is several parts of `shape`; left out, it is the whole. */
  readonly part?: number;
}

/** A linear module by its name inside its module of the model, and the width of its output. */
interface LinearModule {
  readonly name: string;
  readonly out: number;
}

/** A matrix product of a module's graph, with the weight of one linear module or of several whose rows are joined. */
export interface Product {
  readonly name: string;
  /** Width of the input. */
  readonly inner: number;
  /** Linear modules in the order of their rows. */
  readonly modules: readonly LinearModule[];
}

/** The product with linear modules of some widths, from an input of width `inner`. */
export function productOf(
  name: string,
  inner: number,
  outs: Readonly<Record<string, number>>,
): Product {
  return { name, inner, modules: Object.entries(outs).map(([name, out]) => ({ name, out })) };
}

/** Name of the input that has a product's weight. */
export const weightInput = ({ name }: Product): string => `${name}Weight`;

/** The input of a product's weight `[out, in]`, joined from the weights of its linear modules. */
export function weightOf({ inner, modules }: Product): WeightInput {
  return {
    parameters: modules.map(({ name, out }) => ({ name: `${name}.weight`, shape: [out, inner] })),
  };
}

/** The input of a product's bias, joined from the biases of its linear modules. */
export function biasOf({ modules }: Product): WeightInput {
  return { parameters: modules.map(({ name, out }) => ({ name: `${name}.bias`, shape: [out] })) };
}

/** Parameters of a module by the inputs of its graph, in arena order. */
export interface WeightInputs {
  readonly inputs: Readonly<Record<string, WeightInput>>;
}

/** A module of a model: its parameters, and its products, which may have adapters. */
export interface Module extends WeightInputs {
  /** Beginning of its linear modules' whole names, before a dot. */
  readonly prefix: string;
  readonly products: readonly Product[];
}

/** Modules by name, in arena order; a vision tower comes first. */
export type Modules<M extends WeightInputs = WeightInputs> = ReadonlyMap<string, M>;

/** Groups of parameters for `layOut`: the parameters of an input are a group, and each parameter comes once. */
export function parameterGroupsOf(modules: Iterable<WeightInputs>): ParameterShape[][] {
  const known = new Set<string>();
  const groups: ParameterShape[][] = [];
  for (const { inputs } of modules) {
    for (const { parameters } of Object.values(inputs)) {
      const group = parameters.filter(({ name }) => !known.has(name));
      for (const { name } of group) known.add(name);
      groups.push(group);
    }
  }
  return groups;
}
