/** A linear module by its name inside its block, and the width of its output. */
interface LinearModule {
  readonly name: string;
  readonly out: number;
}

/** A product of a block's graph: with the weight of one linear module, or of several whose rows are joined. */
export interface Product {
  readonly name: string;
  /** Width of what goes in. */
  readonly inner: number;
  /** In the order of their rows. */
  readonly modules: readonly LinearModule[];
}

/** A block of the model and its products; the names of its modules follow the prefix and a dot. */
export interface ProductBlock {
  readonly prefix: string;
  readonly products: readonly Product[];
}

/** The blocks of a model that have linear modules. */
export interface ProductBlocks<Block = ProductBlock> {
  readonly visionBlocks: readonly Block[];
  readonly merger: Block | null;
  readonly layers: readonly Block[];
}

/** The blocks in arena order: vision blocks, merger, decoder layers. */
export function inArenaOrder<Block>({
  visionBlocks,
  merger,
  layers,
}: ProductBlocks<Block>): Block[] {
  return [...visionBlocks, ...(merger === null ? [] : [merger]), ...layers];
}
