/** The adapters of a whole model, module by module, and their layout in an arena. */
import type { ModelConfig } from '../model-config.ts';
import { modelModules } from '../parameters.ts';
import { layOut, type ArenaLayout } from '../weights/arena-layout.ts';
import { isVisionModule, parameterGroupsOf, type Modules } from '../weights/modules.ts';
import { moduleAdapters, type AdapterSpec, type ModuleAdapters } from './adapter.ts';

/** The adapters of every module of a model. */
export function modelAdapters(spec: AdapterSpec, config: ModelConfig): Modules<ModuleAdapters> {
  const modules = [...modelModules(config, 'policy')];
  return new Map(modules.map(([name, module]) => [name, moduleAdapters(spec, module)]));
}

/** The order of the adapters in their arena; the A of a product's linear modules are adjacent. */
export function adapterLayout(config: ModelConfig, spec: AdapterSpec): ArenaLayout {
  return layOut(parameterGroupsOf(modelAdapters(spec, config).values()));
}

/** Tells whether the vision tower has adapters. */
export function adaptsVision(spec: AdapterSpec, config: ModelConfig): boolean {
  return [...modelAdapters(spec, config)].some(
    ([name, { modules }]) => isVisionModule(name) && modules.length > 0,
  );
}
