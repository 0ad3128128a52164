import type { Device } from '../device/device.ts';
import type { Graph } from '../graph/ir.ts';
import {
  NO_ADAPTERS,
  sharedByAdapters,
  type GraphAdapters,
  type ModuleAdapters,
} from './adapters/adapter.ts';
import { Block, type BlockOptions } from './block.ts';

/** A kind of layer: its graph by its adapters, and its weights, which are trained where it has no adapters. */
export interface LayerKind extends Omit<BlockOptions, 'parameters'> {
  readonly graph: (adapters: GraphAdapters) => Graph;
  /** Inputs of the graph that are weights. */
  readonly weights: readonly string[];
}

/** The blocks of a stack of layers of one kind; layers with like adapters share a block. */
export class LayerBlocks implements Disposable {
  readonly #blocks: readonly Block[];

  /** @param adaptersOf gives a layer's adapters, undefined where the weights themselves are trained */
  constructor(
    device: Device,
    kind: LayerKind,
    count: number,
    adaptersOf: (layer: number) => ModuleAdapters | undefined,
  ) {
    this.#blocks = sharedByAdapters(count, adaptersOf, (own) => {
      const parameters = own === undefined ? kind.weights : Object.keys(own.inputs);
      return new Block(device, kind.graph(own ?? NO_ADAPTERS), { ...kind, parameters });
    });
  }

  of(layer: number): Block {
    return this.#blocks[layer]!;
  }

  [Symbol.dispose](): void {
    for (const block of new Set(this.#blocks)) block[Symbol.dispose]();
  }
}
