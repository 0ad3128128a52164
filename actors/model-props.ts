/**
 * Weights that actors of a process share: the props by which an actor gets them, and the reading of one version of
 * them.
 */
import type { Device } from '../src/device/device.ts';
import type { DeviceName } from '../src/device/open.ts';
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

/** A copy of weights in the dtype that a model computes in, of the same layout and the same versions. */
export type WorkingProps =
  | { readonly dtype: FloatDType; readonly weights: SharedMemory }
  /** A copy in a device's own memory, with the state of its `DeviceCopy`. */
  | { readonly dtype: FloatDType; readonly onDevice: SharedMemory };

/** A block of weights, shared with an actor on another thread. */
interface VersionedProps {
  readonly layout: ArenaLayout;
  /** The process's own block; `WeightSync` fills it. */
  readonly weights: SharedMemory;
  /** A `SharedVersion` of the weights. */
  readonly version: SharedMemory;
  /** The copy that the model computes with; the weights themselves where it is absent. */
  readonly working?: WorkingProps;
}

/** A model for an actor on another thread: sizes, and weights that are shared, not copied. */
export interface ModelProps extends VersionedProps {
  readonly config: ModelConfig;
  /** Elements at the beginning of the weights that are not trained. */
  readonly frozenLength: number;
  /** True where the vision tower's weights never change. */
  readonly isVisionFixed: boolean;
  /** Trained instead of the weights, of which there is one version then; none where it is absent. */
  readonly adapter?: AdapterProps;
  /** Device that it computes on; the CPU where it is absent. */
  readonly device?: DeviceName;
  /** Compute threads of the process-wide pool; the number of cores where it is absent. */
  readonly threads?: number;
}

/** Low-rank adapters, shared beside the weights that they belong to. */
interface AdapterProps extends VersionedProps {
  readonly spec: AdapterSpec;
}

/** The only version of weights that nobody trains. */
export const FROZEN_VERSION = 1;

/** Props of a model's weights, without its config and device. */
type WeightProps = Omit<ModelProps, 'config' | 'isVisionFixed' | 'device' | 'threads'>;

/** Weights as models compute with them. */
interface Computed {
  readonly arena: AnyArena;
  readonly adapter: PlacedAdapter | null;
  /** The part that learners step. */
  readonly trained: AnyArena;
}

/** One block of shared weights: the arena in this process's memory, the one to compute with, and their version. */
class VersionedArena {
  readonly arena: Arena;
  readonly working: AnyArena;
  readonly version: SharedVersion;
  readonly copy: DeviceCopy | null = null;

  constructor(device: Device, { layout, weights, version, working }: VersionedProps) {
    this.arena = new Arena(layout, weights);
    this.version = new SharedVersion(version);
    if (working === undefined) this.working = this.arena;
    else if ('weights' in working) this.working = new Arena(layout, working.weights, working.dtype);
    else {
      this.copy = new DeviceCopy(device, this.arena, working.dtype, working.onDevice);
      this.working = this.copy.arena;
    }
  }

  /** Waits for a version, and brings it to the device. */
  async reach(version: number, signal: AbortSignal): Promise<void> {
    await this.version.reach(version, signal);
    await this.copy?.bring(version);
  }
}

/**
 * A model's weights in shared memory, and the copies that it computes with.
 *
 * They are written only while nobody reads them.
 */
export class SharedWeights {
  readonly arena: Arena;
  readonly adapter: Adapter | null;
  /** The part that learners step: the adapters, the weights, or those that are not frozen. */
  readonly trained: Arena;
  /** Arenas that models compute with: the same weights, or copies of them in another dtype. */
  readonly working: Computed;
  /** Weights beside adapters, which stay at `FROZEN_VERSION`; null without adapters. */
  readonly #frozen: VersionedArena | null;
  /** The adapters, or the weights without any: their version rises with every update. */
  readonly #stepped: VersionedArena;
  readonly #device: Device;

  /** @param device the one that models compute on */
  constructor(device: Device, props: WeightProps) {
    const { frozenLength, adapter } = props;
    this.#device = device;
    const base = new VersionedArena(device, props);
    this.arena = base.arena;
    if (adapter === undefined) {
      const { working } = base;
      this.#frozen = null;
      this.#stepped = base;
      this.adapter = null;
      this.trained = this.arena.from(frozenLength);
      const trained = working === this.arena ? this.trained : working.from(frozenLength);
      this.working = { arena: working, adapter: null, trained };
    } else {
      const { spec } = adapter;
      const adapted = new VersionedArena(device, adapter);
      this.#frozen = base;
      this.#stepped = adapted;
      this.adapter = { spec, arena: adapted.arena };
      this.trained = adapted.arena;
      const placed = { spec, arena: adapted.working };
      this.working = { arena: base.working, adapter: placed, trained: adapted.working };
    }
  }

  /** Lets a learner on this device step the trained weights, from their values now. */
  async handOver(): Promise<void> {
    await this.#frozen?.copy?.bring(FROZEN_VERSION);
    await this.#stepped.copy?.handOver();
  }

  /**
   * Works with the weights of one version, once they are here. The result of work during which the weights were written
   * is thrown away; this happens only to work that nobody waits for any more. Weights of a file leave memory
   * afterwards, because a decoder has all of them at once, and the device's memory for tensors of passes is freed.
   *
   * @throws RUNTIME_CANCELLED when the weights have gone past that version
   */
  async at<T>(version: number, signal: AbortSignal, work: () => T | Promise<T>): Promise<T> {
    await this.#frozen?.reach(FROZEN_VERSION, signal);
    await this.#stepped.reach(version, signal);
    try {
      const result = await work();
      this.#stepped.version.confirm(version);
      return result;
    } finally {
      for (const arena of [this.arena, this.working.arena]) {
        if (arena instanceof Arena) letGo(arena.data);
      }
      this.#device.trim();
    }
  }
}
