import type { Device } from '../device/device.ts';
import type { Graph } from '../graph/ir.ts';
import { NO_ADAPTERS, sharedByLayers, type GraphAdapters } from './adapters/adapter.ts';
import { Block, type BlockOptions } from './block.ts';
import type { Layer } from './decoder-layers.ts';
import { trainedInputs, type ModelWeights } from './model-weights.ts';

/** A kind of layer: its graph by its config and its adapters, and the options of its blocks. */
export interface LayerKind<C> extends Omit<BlockOptions, 'parameters'> {
  readonly graph: (config: C, adapters: GraphAdapters) => Graph;
}

/** The blocks of a stack of layers of one kind; layers that are alike share a block. */
export class LayerBlocks<C> implements Disposable {
  readonly #blocks: readonly Block[];

  constructor(
    device: Device,
    { graph, ...options }: LayerKind<C>,
    layers: readonly Layer<C>[],
    weights: ModelWeights,
  ) {
    this.#blocks = sharedByLayers(layers, weights.adapters, (config, own, name) => {
      const parameters = trainedInputs(weights, name);
      return new Block(device, graph(config, own ?? NO_ADAPTERS), { ...options, parameters });
    });
  }

  of(layer: number): Block {
    return this.#blocks[layer]!;
  }

  [Symbol.dispose](): void {
    for (const block of new Set(this.#blocks)) block[Symbol.dispose]();
  }
}
