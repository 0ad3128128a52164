import type { Device } from '../device/device.ts';
import type { Graph } from '../graph/ir.ts';
import { NO_ADAPTERS, sharedByAdapters, type GraphAdapters } from './adapters/adapter.ts';
import { Block, type BlockOptions } from './block.ts';
import { trainedInputs, type ModelWeights } from './model-weights.ts';

/** A kind of layer: its graph by its adapters, and the options of its blocks. */
export interface LayerKind extends Omit<BlockOptions, 'parameters'> {
  readonly graph: (adapters: GraphAdapters) => Graph;
}

/** The blocks of a stack of layers of one kind; layers with like adapters share a block. */
export class LayerBlocks implements Disposable {
  readonly #blocks: readonly Block[];

  /** @param modules names of the layers' modules, from the first layer on */
  constructor(
    device: Device,
    { graph, ...options }: LayerKind,
    modules: readonly string[],
    weights: ModelWeights,
  ) {
    this.#blocks = sharedByAdapters(modules, weights.adapters, (own, module) => {
      const parameters = trainedInputs(weights, module);
      return new Block(device, graph(own ?? NO_ADAPTERS), { ...options, parameters });
    });
  }

  of(layer: number): Block {
    return this.#blocks[layer]!;
  }

  [Symbol.dispose](): void {
    for (const block of new Set(this.#blocks)) block[Symbol.dispose]();
  }
}
