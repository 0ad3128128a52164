/** Weights and adapters as a network takes them: where they lie, and which of them are trained. */
import type { Device } from '../device/device.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { isInFile } from '../tensor/file-memory.ts';
import type { ModuleAdapters, PlacedAdapter } from './adapters/adapter.ts';
import { DeviceArena, type AnyArena } from './weights/device-arena.ts';
import { modelAdapters } from './adapters/model-adapters.ts';
import type { HeadKind } from './architecture.ts';
import type { ModelConfig } from './model-config.ts';
import { modelModules } from './parameters.ts';
import type { Modules } from './weights/modules.ts';
import {
  AdaptedWeights,
  OffloadedModules,
  PagedModules,
  ResidentModules,
  type GradientSink,
  type WeightSource,
} from './weights/weight-source.ts';

/** A model's weights on a device, with its adapters, and the place of the gradients. */
export interface ModelWeights {
  /** Dtype of the weights, in which the model computes. */
  readonly dtype: FloatDType;
  readonly source: WeightSource;
  /** The adapters of every module; null without any. */
  readonly adapters: Modules<ModuleAdapters> | null;
  /** The parameters that can be trained: the adapters, or the weights where there are none. */
  readonly trainable: Modules;
  /**
   * Sink of gradients over an arena.
   *
   * @param gradients laid out as what is trained: the weights, the weights without the vision tower, or the adapters
   */
  readonly sink: (gradients: AnyArena<'f32'>) => GradientSink;
}

/**
 * The weights of a model in an arena, and its adapters, which are trained in place of the weights.
 *
 * Weights in this process's memory are copied module by module to a device with memory of its own.
 */
export function modelWeights(
  device: Device,
  config: ModelConfig,
  head: HeadKind,
  { arena, adapter }: { readonly arena: AnyArena; readonly adapter: PlacedAdapter | null },
): ModelWeights {
  const sourceOf = (from: AnyArena, some: Modules): WeightSource => {
    if (from instanceof DeviceArena) return new ResidentModules(from, some);
    if (device.host === null) return new OffloadedModules(device, from, some);
    const resident = new ResidentModules(DeviceArena.of(device, from), some);
    return isInFile(from.buffer) ? new PagedModules(resident) : resident;
  };
  const modules = modelModules(config, head);
  const adapters = adapter && modelAdapters(adapter.spec, config);
  const trainable = adapters ?? modules;
  const base = sourceOf(arena, modules);
  return {
    dtype: arena.dtype,
    source: adapter === null ? base : new AdaptedWeights(base, sourceOf(adapter.arena, trainable)),
    adapters,
    trainable,
    sink: (gradients) => new ResidentModules(DeviceArena.of(device, gradients), trainable),
  };
}

/** The inputs of a module's graph that can be trained. */
export function trainedInputs({ trainable }: ModelWeights, module: string): string[] {
  return Object.keys(trainable.get(module)!.inputs);
}
