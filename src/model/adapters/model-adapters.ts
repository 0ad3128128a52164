import {
  adaptedModules,
  adapterInput,
  blockAdapters,
  loraA,
  loraB,
  type AdapterSpec,
  type BlockAdapters,
} from './adapter.ts';
import { layOut, type ArenaLayout, type ParameterShape } from '../weights/arena-layout.ts';
import { architectureOf } from '../families.ts';
import type { ModelConfig } from '../model-config.ts';
import { inArenaOrder, type ProductBlock, type ProductBlocks } from '../weights/products.ts';
import {
  isVisionModule,
  moduleNames,
  type ModelModules,
  type ModuleParameters,
  type ParameterSpan,
} from '../weights/weight-source.ts';

/** The blocks of a model that have linear modules, in arena order. */
export function productBlocks(config: ModelConfig): ProductBlock[] {
  return inArenaOrder(architectureOf(config).weights.blocks(config, 'policy'));
}

/** The adapters of every block of a model. */
export function modelAdapters(
  spec: AdapterSpec,
  config: ModelConfig,
): ProductBlocks<BlockAdapters> {
  const { visionBlocks, merger, layers } = architectureOf(config).weights.blocks(config, 'policy');
  return {
    visionBlocks: visionBlocks.map((block) => blockAdapters(spec, block)),
    merger: merger && blockAdapters(spec, merger),
    layers: layers.map((block) => blockAdapters(spec, block)),
  };
}

/** The order of the adapters in their arena; the A of a product's modules are adjacent. */
export function adapterLayout(config: ModelConfig, spec: AdapterSpec): ArenaLayout {
  const { rank } = spec;
  const groups: ParameterShape[][] = [];
  for (const block of productBlocks(config)) {
    const adapters = blockAdapters(spec, block);
    for (const product of block.products) {
      const modules = adaptedModules(product, adapters);
      const named = (name: string): string => `${block.prefix}.${name}`;
      groups.push(
        modules.map(({ name }) => ({ name: loraA(named(name)), shape: [rank, product.inner] })),
        ...modules.map(({ name, out }) => [{ name: loraB(named(name)), shape: [out, rank] }]),
      );
    }
  }
  return layOut(groups);
}

/** Whether adapters are in the vision tower. */
export function adaptsVision(spec: AdapterSpec, config: ModelConfig): boolean {
  return [...adapterModules(modelAdapters(spec, config))].some(
    ([module, parameters]) => isVisionModule(module) && Object.keys(parameters).length > 0,
  );
}

/** The adapters of a model by module, as its blocks' graphs take them. */
export function adapterModules({
  visionBlocks,
  merger,
  layers,
}: ProductBlocks<BlockAdapters>): ModelModules {
  return new Map([
    ...visionBlocks.map((block, i) => [moduleNames.visionBlock(i), parametersOf(block)] as const),
    ...(merger === null ? [] : [[moduleNames.merger, parametersOf(merger)] as const]),
    ...layers.map((block, i) => [moduleNames.layer(i), parametersOf(block)] as const),
  ]);
}

function parametersOf(adapters: BlockAdapters): ModuleParameters {
  const { prefix, products } = adapters;
  const parameters: Record<string, ParameterSpan> = {};
  for (const product of products) {
    const modules = adaptedModules(product, adapters);
    if (modules.length === 0) continue;
    parameters[adapterInput.a(product)] = {
      names: modules.map(({ name }) => loraA(`${prefix}.${name}`)),
    };
    for (const { name } of modules) {
      parameters[adapterInput.b(name)] = { names: [loraB(`${prefix}.${name}`)] };
    }
  }
  return parameters;
}
