import type { Device } from '../device/device.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { isInFile } from '../tensor/file-memory.ts';
import type { BlockAdapters, PlacedAdapter } from './adapters/adapter.ts';
import { DeviceArena, type AnyArena } from './weights/device-arena.ts';
import { adapterModules, modelAdapters } from './adapters/model-adapters.ts';
import type { ModelConfig } from './model-config.ts';
import type { ProductBlocks } from './weights/products.ts';
import {
  AdaptedWeights,
  OffloadedModules,
  PagedModules,
  ResidentModules,
  type GradientSink,
  type ModelModules,
  type WeightSource,
} from './weights/weight-source.ts';

/** A model's weights on a device, with those of its adapters, and what of them can be trained. */
export interface ModelWeights {
  /** What they are in, and so the dtype that the model computes in. */
  readonly dtype: FloatDType;
  readonly source: WeightSource;
  /** The adapters of every block; null without any. */
  readonly adapters: ProductBlocks<BlockAdapters> | null;
  /**
   * Where gradients go.
   *
   * @param gradients laid out as what is trained: the weights, the weights without the vision tower, or the adapters
   */
  readonly sink: (gradients: AnyArena<'f32'>) => GradientSink;
}

/**
 * The weights of a model in an arena, and beside them its adapters', which are trained in their place.
 *
 * Those that lie in the memory of this process come module by module to a device with memory of its own.
 */
export function modelWeights(
  device: Device,
  {
    config,
    modules,
    arena,
    adapter,
  }: {
    readonly config: ModelConfig;
    readonly modules: ModelModules;
    readonly arena: AnyArena;
    readonly adapter: PlacedAdapter | null;
  },
): ModelWeights {
  const sourceOf = (from: AnyArena, some: ModelModules): WeightSource => {
    if (from instanceof DeviceArena) return new ResidentModules(from, some);
    if (device.host === null) return new OffloadedModules(device, from, some);
    const resident = new ResidentModules(DeviceArena.of(device, from), some);
    return isInFile(from.buffer) ? new PagedModules(resident) : resident;
  };
  const { dtype } = arena;
  const base = sourceOf(arena, modules);
  const sinkOf = (trained: ModelModules) => (gradients: AnyArena<'f32'>) =>
    new ResidentModules(DeviceArena.of(device, gradients), trained);
  if (adapter === null) return { dtype, source: base, adapters: null, sink: sinkOf(modules) };
  const adapters = modelAdapters(adapter.spec, config);
  const adapted = adapterModules(adapters);
  return {
    dtype,
    source: new AdaptedWeights(base, sourceOf(adapter.arena, adapted)),
    adapters,
    sink: sinkOf(adapted),
  };
}
