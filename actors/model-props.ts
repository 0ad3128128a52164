import type { Device } from '../src/device/device.ts';
import type { DeviceName, DeviceOptions } from '../src/device/open.ts';
import type { Adapter, AdapterSpec, PlacedAdapter } from '../src/model/adapters/adapter.ts';
import { Arena } from '../src/model/weights/arena.ts';
import type { ArenaLayout } from '../src/model/weights/arena-layout.ts';
import type { AnyArena } from '../src/model/weights/device-arena.ts';
import type { ModelConfig } from '../src/model/model-config.ts';
import type { FloatDType } from '../src/tensor/dtype.ts';
import { letGo } from '../src/tensor/file-memory.ts';
import type { SharedMemory } from '../src/tensor/memory.ts';
import { SharedVersion } from '../transport/shared/version.ts';
import { DeviceCopy } from './device-copy.ts';

/** A model for an actor on another thread: sizes, and weights that are shared, not copied. */
export interface ModelProps {
  readonly config: ModelConfig;
  readonly layout: ArenaLayout;
  /** The process's block of weights; `WeightSync` fills it. */
  readonly weights: SharedMemory;
  /** A `SharedVersion` of the weights. */
  readonly version: SharedMemory;
  /** Copy that the model computes with; where it is absent, the model computes with the weights. */
  readonly working?: WorkingProps;
  /** Elements at the beginning of the weights that are not trained; 0 by default. */
  readonly frozenLength?: number;
  /** True where the vision tower's weights never change. */
  readonly isVisionFixed?: boolean;
  /** Adapters trained instead of the weights, which have one version then. */
  readonly adapter?: AdapterProps;
  /** Device to compute on; the processor by default. */
  readonly device?: DeviceName;
  /** Compute threads of the process-wide pool; one per core by default. */
  readonly threads?: number;
}

/** Low-rank adapters for such an actor, beside the weights that they belong to. */
interface AdapterProps {
  readonly spec: AdapterSpec;
  readonly layout: ArenaLayout;
  readonly weights: SharedMemory;
  readonly version: SharedMemory;
  readonly working?: WorkingProps;
}

/** A copy of weights in the dtype that a model computes in, of the same layout and the same versions. */
export type WorkingProps =
  | { readonly dtype: FloatDType; readonly weights: SharedMemory }
  /** The shared words of a `DeviceCopy`, which lies in a device's own memory. */
  | { readonly dtype: FloatDType; readonly onDevice: SharedMemory };

/** The one version of weights that are never trained. */
export const FROZEN_VERSION = 1;

/** The arenas that models compute with. */
interface Computed {
  readonly arena: AnyArena;
  readonly adapter: PlacedAdapter | null;
  /** The part that learners step. */
  readonly trained: AnyArena;
}

/** The part of a model's props that `SharedWeights` reads. */
type WeightProps = Omit<ModelProps, 'config' | 'isVisionFixed' | 'device' | 'threads'>;

/** Options for opening the device that a model computes on. */
export function deviceOptions({ device, threads }: ModelProps): DeviceOptions {
  return { ...(device !== undefined && { device }), ...(threads !== undefined && { threads }) };
}

/** Weights that are written only while nobody reads them. */
export class SharedWeights {
  readonly arena: Arena;
  readonly adapter: Adapter | null;
  /** The arena that learners step: the adapters, the weights, or those that are not frozen. */
  readonly trained: Arena;
  /** The arenas that models compute with: the same weights, or copies of them in another dtype. */
  readonly working: Computed;
  readonly #device: Device;
  readonly #base: SharedVersion;
  readonly #adapted: SharedVersion | null;
  /** Copies on the device, of the weights and of the adapters. */
  readonly #copies: { base?: DeviceCopy; adapted?: DeviceCopy } = {};

  /** @param device that models compute on */
  constructor(device: Device, props: WeightProps) {
    this.#device = device;
    const { layout, weights, version, frozenLength = 0, adapter } = props;
    this.arena = new Arena(layout, weights);
    this.adapter =
      adapter === undefined
        ? null
        : { spec: adapter.spec, arena: new Arena(adapter.layout, adapter.weights) };
    this.trained = this.adapter?.arena ?? this.arena.from(frozenLength);
    this.working = this.#computed(props);
    this.#base = new SharedVersion(version);
    this.#adapted = adapter === undefined ? null : new SharedVersion(adapter.version);
  }

  #computed({ working, frozenLength = 0, adapter }: WeightProps): Computed {
    const arena = this.#computedArena(this.arena, working, 'base');
    if (this.adapter === null || adapter === undefined) {
      const trained = working === undefined ? this.trained : arena.from(frozenLength);
      return { arena, adapter: null, trained };
    }
    const adapted = this.#computedArena(this.adapter.arena, adapter.working, 'adapted');
    return { arena, adapter: { spec: adapter.spec, arena: adapted }, trained: adapted };
  }

  #computedArena(
    arena: Arena,
    working: WorkingProps | undefined,
    role: 'base' | 'adapted',
  ): AnyArena {
    if (working === undefined) return arena;
    if ('weights' in working) return new Arena(arena.layout, working.weights, working.dtype);
    const copy = new DeviceCopy(this.#device, arena, working.dtype, working.onDevice);
    this.#copies[role] = copy;
    return copy.arena;
  }

  /** Hands the trained weights on this device over to a learner, which steps them from now on. */
  async handOver(): Promise<void> {
    const { base, adapted } = this.#copies;
    if (adapted === undefined) await base?.handOver();
    else {
      await base?.bring(FROZEN_VERSION);
      await adapted.handOver();
    }
  }

  /**
   * Waits for a version of the weights and works with it. Work during which the weights were written fails; that
   * happens only to work that nobody waits for any more. Weights of a file are let go of afterwards, as a decoder has
   * all of them at once.
   *
   * @throws RUNTIME_CANCELLED when the weights have gone past that version
   */
  async at<T>(version: number, signal: AbortSignal, work: () => T | Promise<T>): Promise<T> {
    const trained = this.#adapted ?? this.#base;
    if (trained !== this.#base) await this.#base.reach(FROZEN_VERSION, signal);
    await trained.reach(version, signal);
    const { base, adapted } = this.#copies;
    await base?.bring(adapted === undefined ? version : FROZEN_VERSION);
    await adapted?.bring(version);
    try {
      const result = await work();
      trained.assert(version);
      return result;
    } finally {
      for (const arena of [this.arena, this.working.arena]) {
        if (arena instanceof Arena) letGo(arena.data);
      }
    }
  }
}
