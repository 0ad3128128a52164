import type { Device } from '../device/device.ts';
import type { Graph } from '../graph/ir.ts';
import {
  adapterInputs,
  NO_ADAPTERS,
  type BlockAdapters,
  type GraphAdapters,
} from './adapters/adapter.ts';
import { Block, type BlockOptions } from './block.ts';

/** A kind of layer: its graph by its adapters, and what is trained of it without any. */
export interface LayerKind extends Omit<BlockOptions, 'parameters'> {
  readonly graph: (adapters: GraphAdapters) => Graph;
  /** Inputs of the graph that are weights. */
  readonly weights: readonly string[];
}

/** The blocks of layers of one kind: those whose adapters are alike share one. */
export class LayerBlocks implements Disposable {
  readonly #blocks = new Map<string, Block>();
  readonly #ofLayer: readonly Block[];

  /** @param adapters of each layer; null when the weights themselves are trained */
  constructor(
    device: Device,
    kind: LayerKind,
    count: number,
    adapters: readonly BlockAdapters[] | null,
  ) {
    this.#ofLayer = Array.from({ length: count }, (_, layer) => {
      const own = adapters?.[layer];
      const key = own?.modules.join() ?? '';
      let block = this.#blocks.get(key);
      if (block === undefined) {
        const parameters = own === undefined ? kind.weights : adapterInputs(own);
        block = new Block(device, kind.graph(own ?? NO_ADAPTERS), { ...kind, parameters });
        this.#blocks.set(key, block);
      }
      return block;
    });
  }

  of(layer: number): Block {
    return this.#ofLayer[layer]!;
  }

  [Symbol.dispose](): void {
    for (const block of this.#blocks.values()) block[Symbol.dispose]();
  }
}
