import type { ParameterShape } from './arena-layout.ts';
import type { Product, ProductBlock, ProductBlocks } from './products.ts';
import { moduleNames } from './weight-source.ts';

/** What an input of a block's graph is made of: parameters stacked along their first axis. */
export interface BlockInput {
  readonly parameters: readonly ParameterShape[];
  /** The shape that the graph sees them in, where it is another one. */
  readonly shape?: readonly number[];
}

/** The product with a weight `[out, in]`, or with several whose rows are joined. */
export function productOf(name: string, { parameters }: BlockInput): Product {
  const modules = parameters.map((parameter) => ({
    name: parameter.name.replace(/\.weight$/, ''),
    out: parameter.shape[0]!,
  }));
  return { name, inner: parameters[0]!.shape[1]!, modules };
}

/** A block of a model with its parameters, by the inputs of its graph, in arena order. */
export interface ParameterBlock extends ProductBlock {
  readonly inputs: Readonly<Record<string, BlockInput>>;
}

/** Every block of a model with its parameters. */
export interface ModelBlocks extends ProductBlocks<ParameterBlock> {
  /** Null without vision. */
  readonly patchEmbed: ParameterBlock | null;
  readonly embedding: ParameterBlock;
  readonly head: ParameterBlock;
}

/** The blocks by the names of their modules, in arena order: a vision tower comes first. */
export function blocksByModule(blocks: ModelBlocks): ReadonlyMap<string, ParameterBlock> {
  const { patchEmbed, visionBlocks, merger, embedding, layers, head } = blocks;
  return new Map([
    ...(patchEmbed === null ? [] : ([[moduleNames.patchEmbed, patchEmbed]] as const)),
    ...visionBlocks.map((block, i) => [moduleNames.visionBlock(i), block] as const),
    ...(merger === null ? [] : ([[moduleNames.merger, merger]] as const)),
    [moduleNames.embedding, embedding] as const,
    ...layers.map((block, i) => [moduleNames.layer(i), block] as const),
    [moduleNames.head, head] as const,
  ]);
}
