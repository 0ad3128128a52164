/** Makers of modules: their inputs, and the parameters of each by their names on the hub. */
import { type Module, type Product, type WeightInput } from './modules.ts';

/** A module under its name in the model. */
export type NamedModule = readonly [name: string, module: Module];

/** A weight input of one parameter. */
export const parameter = (name: string, ...shape: readonly number[]): WeightInput => ({
  parameters: [{ name, shape }],
});

/** A module whose names follow a prefix and a dot. */
export function prefixed(
  prefix: string,
  inputs: Module['inputs'],
  products: readonly Product[],
): Module {
  const whole = ({ parameters, ...others }: WeightInput): WeightInput => ({
    ...others,
    parameters: parameters.map(({ name, shape }) => ({ name: `${prefix}.${name}`, shape })),
  });
  const named = Object.entries(inputs).map(([input, own]) => [input, whole(own)] as const);
  return { prefix, products, inputs: Object.fromEntries(named) };
}

/** A module of parameters with whole names, without products that may have adapters. */
export const unprefixed = (inputs: Module['inputs']): Module => ({
  prefix: '',
  products: [],
  inputs,
});
