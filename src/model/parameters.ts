import { layOut, type ParameterShape } from './weights/arena-layout.ts';
import type { HeadKind } from './architecture.ts';
import { architectureOf } from './families.ts';
import { blocksByModule } from './weights/model-blocks.ts';
import type { ModelConfig } from './model-config.ts';
import { isVisionModule, type ModelModules } from './weights/weight-source.ts';

/**
 * Every parameter of a model in arena order, those of one input of a graph adjacent: `layOut` makes the model's arena
 * of it. A tied head is the embedding, and comes once.
 *
 * @param isTaken the modules whose parameters these are; all of them when left out
 */
export function parameterGroups(
  config: ModelConfig,
  head: HeadKind = 'policy',
  isTaken: (module: string) => boolean = () => true,
): ParameterShape[][] {
  const known = new Set<string>();
  const groups: ParameterShape[][] = [];
  for (const [module, { inputs }] of blocksByModule(blocksOf(config, head))) {
    if (!isTaken(module)) continue;
    for (const { parameters } of Object.values(inputs)) {
      const group = parameters.filter(({ name }) => !known.has(name));
      for (const { name } of group) known.add(name);
      groups.push(group);
    }
  }
  return groups;
}

/** Elements of the arena that the vision tower takes, from its beginning on; 0 without one. */
export function visionLength(config: ModelConfig): number {
  return layOut(parameterGroups(config, 'policy', isVisionModule)).length;
}

/** The modules of a model with a head, by the inputs of their graphs. */
export function modelModules(config: ModelConfig, head: HeadKind): ModelModules {
  const spans = [...blocksByModule(blocksOf(config, head))].map(([module, { inputs }]) => {
    const parameters = Object.entries(inputs).map(([input, { parameters, shape }]) => {
      const names = parameters.map(({ name }) => name);
      return [input, { names, ...(shape && { shape }) }] as const;
    });
    return [module, Object.fromEntries(parameters)] as const;
  });
  return new Map(spans);
}

const blocksOf = (config: ModelConfig, head: HeadKind) =>
  architectureOf(config).weights.blocks(config, head);
