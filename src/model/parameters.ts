/** Modules and parameters of a model, by its config. */
import type { HeadKind } from './architecture.ts';
import { architectureOf } from './families.ts';
import type { ModelConfig } from './model-config.ts';
import { layOut, type ParameterShape } from './weights/arena-layout.ts';
import { isVisionModule, parameterGroupsOf, type Module, type Modules } from './weights/modules.ts';

/** The modules of a model with one of two heads. */
export function modelModules(config: ModelConfig, head: HeadKind): Modules<Module> {
  return architectureOf(config).weights.modules(config, head);
}

/** Every parameter of a model in arena order, as `layOut` takes them. A tied head is the embedding, and comes once. */
export function parameterGroups(
  config: ModelConfig,
  head: HeadKind = 'policy',
): ParameterShape[][] {
  return parameterGroupsOf(modelModules(config, head).values());
}

/** Elements that the vision tower takes at the beginning of the arena; 0 without one. */
export function visionLength(config: ModelConfig): number {
  const modules = [...modelModules(config, 'policy')];
  const vision = modules.filter(([name]) => isVisionModule(name)).map(([, module]) => module);
  return layOut(parameterGroupsOf(vision)).length;
}
