/** Weights in every process that reads them: the shared blocks they lie in, and the copying of each new version. */
import { setImmediate } from 'node:timers/promises';
import { CxmindError } from '../../src/errors.ts';
import type { DeviceName } from '../../src/device/open.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { bytesPerElement, type FloatDType } from '../../src/tensor/dtype.ts';
import { isInFile, letGo } from '../../src/tensor/file-memory.ts';
import { writeFloats } from '../../src/tensor/numbers.ts';
import { SharedVersion, VERSION_BYTES } from '../../transport/shared/version.ts';
import { deviceCopyBytes, forgetDeviceCopy } from '../device-copy.ts';
import type { Logger } from '../runtime/actor.ts';
import type { SharedMarker } from '../runtime/shared-blocks.ts';
import type { ActorSystem } from '../runtime/system.ts';
import { pairedParts } from './paired-parts.ts';
import { weightsProtocol } from './protocol.ts';
import { RemoteCopy } from './remote-copy.ts';

/** Markers of the blocks in which every process keeps weights of one name. */
export interface WeightMarkers {
  readonly weights: SharedMarker;
  readonly version: SharedMarker;
  /** Working copy in the dtype that models compute in; absent where they compute with the weights themselves. */
  readonly working?:
    | { readonly dtype: FloatDType; readonly weights: SharedMarker }
    | { readonly dtype: FloatDType; readonly onDevice: SharedMarker };
}

/** Weights, and the devices and the dtype that models compute with them in. */
export interface Synced {
  readonly arena: Arena;
  readonly computeDType: FloatDType;
  readonly devices: readonly DeviceName[];
  /** True where weights stay in the host's memory, and a device has one module at a time. */
  readonly isOffloaded: boolean;
  /** Name of the weights whose block the arena lies over; their own where it is left out. */
  readonly block?: string;
}

/** Name and address of an actor. */
export interface Addressed {
  readonly name: string;
  readonly address: string;
}

/** The marker of an arena's block, in memory or in a file. */
export function weightsMarker(name: string, sizeBytes: number, isInFile = false): SharedMarker {
  return { $shared: `weights/${name}`, sizeBytes, isInFile };
}

/**
 * Brings the weights of this process to every other process that reads them.
 *
 * Each process has one block of weights and its version. A reader names the version it wants and waits for it. New
 * weights are sent in the background, and at once to a process that joins late; the working copy is made where they
 * arrive. There is one block, not two in turn: a synchronous step does not need the old weights while new ones come,
 * and a second block would double the memory. Rollouts ahead of the learners have a block of their own
 * (`rollout-weights.ts`).
 */
export class WeightSync implements AsyncDisposable {
  readonly #name: string;
  readonly #system: ActorSystem;
  readonly #arena: Arena;
  readonly #computeDType: FloatDType;
  readonly #isOffloaded: boolean;
  readonly #shared: Omit<WeightMarkers, 'working'>;
  readonly #working: Arena<FloatDType> | null;
  readonly #logger: Logger;
  readonly #here: SharedVersion;
  readonly #copies = new Map<string, RemoteCopy>();
  /** Nodes whose own learners step the weights. */
  readonly #learning = new Set<string>();
  #version = 0;
  #isClosed = false;
  /** Settles when the next version is published; null while the weights of now may be read. */
  #revision: PromiseWithResolvers<void> | null = null;
  /** Settles when nobody in this process copies the weights. */
  #reading: Promise<unknown> = Promise.resolve();

  /** @param synced weights over the block that `weightsMarker(block, …)` stands for in this process */
  constructor(system: ActorSystem, name: string, synced: Synced, logger: Logger) {
    const { arena, computeDType, devices, isOffloaded, block = name } = synced;
    this.#system = system;
    this.#name = name;
    this.#arena = arena;
    this.#computeDType = computeDType;
    this.#isOffloaded = isOffloaded;
    this.#logger = logger;
    this.#shared = {
      weights: weightsMarker(block, arena.byteLength, isInFile(arena.buffer)),
      version: { $shared: `version/${name}`, sizeBytes: VERSION_BYTES },
    };
    const { blocks } = system;
    let working: Arena<FloatDType> | null = null;
    for (const device of devices) {
      const marker = this.markers(device).working;
      if (marker === undefined) continue;
      if ('onDevice' in marker) forgetDeviceCopy(blocks.get(marker.onDevice));
      else working = new Arena(arena.layout, blocks.get(marker.weights), marker.dtype);
    }
    this.#working = working;
    this.#here = new SharedVersion(blocks.get(this.#shared.version));
  }

  /** Markers for actors that compute on a device. */
  markers(device: DeviceName): WeightMarkers {
    const working = this.#workingMarker(device);
    return { ...this.#shared, ...(working && { working }) };
  }

  /** The version that readers have to ask for. */
  get version(): number {
    return this.#version;
  }

  /** Settles once the weights may be read: at once, or with the version that learners are stepping to. */
  get published(): Promise<void> | null {
    return this.#revision?.promise ?? null;
  }

  /** Brings the weights to the process of an actor, wherever it restarts. */
  follow(ref: Addressed): void {
    this.#serve(nodeOf(ref.address));
    this.#system.watch(ref, ({ kind, node }) => {
      if (kind === 'started' || kind === 'restarted') this.#serve(node);
    });
  }

  /** Brings the weights to the process of a learner, which then steps them itself. */
  followLearner(ref: Addressed): void {
    const node = nodeOf(ref.address);
    if (node !== undefined) this.#learning.add(node);
    this.follow(ref);
  }

  /** Withdraws the weights before learners step them; resolves once nobody reads or sends them. */
  async revise(): Promise<void> {
    this.#revision ??= Promise.withResolvers();
    await this.#reading;
    this.#here.beginWrite();
    await Promise.all(
      [...this.#copies].map(([node, copy]) =>
        this.#learning.has(node) ? copy.revise() : copy.cancel(),
      ),
    );
  }

  /**
   * Publishes the weights of this process. Learners' nodes get the first version, and step later ones themselves.
   *
   * @param isWritten true for weights that this process wrote, rather than learners, who keep the working copy up to date
   */
  publish(version: number, isWritten = false): void {
    if (version <= this.#version) {
      throw new CxmindError('INTERNAL', `weights: version ${version} after ${this.#version}`);
    }
    const isFirst = this.#version === 0;
    if (isFirst || isWritten) this.#fillWorking();
    this.#version = version;
    this.#here.publish(version);
    this.#revision?.resolve();
    this.#revision = null;
    for (const [node, copy] of this.#copies) {
      if (this.#learning.has(node) && !isFirst) copy.name(version);
      else copy.bring(version);
    }
  }

  /**
   * Publishes a copy of the weights of another sync of the same layout. The other's are not revised meanwhile.
   *
   * @param ready is waited for first, with the other's weights held
   */
  async copy(from: WeightSync, ready: () => Promise<unknown>): Promise<void> {
    const copied = (async () => {
      await ready();
      await this.revise();
      for (const [old, now] of pairedParts(this.#arena, from.#arena)) {
        old.set(now);
        await setImmediate();
      }
      this.publish(from.version, true);
    })();
    from.#reading = copied.catch(() => undefined);
    await copied;
  }

  /** Aborts the copies in flight and withdraws every copy: the next run's weights go to the same blocks. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#here.beginWrite();
    await Promise.all([...this.#copies.values()].map((copy) => copy.revoke()));
  }

  /** Makes the working copy in this process's memory, where there is one. */
  #fillWorking(): void {
    if (this.#working === null) return;
    writeFloats(this.#working.flat, 0, this.#arena.data);
    for (const { data } of [this.#arena, this.#working]) letGo(data);
  }

  /** Marker of the working copy; null where models compute with the weights themselves. */
  #workingMarker(device: DeviceName): WeightMarkers['working'] | null {
    const { layout, buffer } = this.#arena;
    const dtype = this.#computeDType;
    if (device !== 'cpu' && !this.#isOffloaded) {
      const copy = `${device}/${this.#name}/${dtype}/${layout.length}`;
      return { dtype, onDevice: { $shared: copy, sizeBytes: deviceCopyBytes } };
    }
    if (dtype === 'f32') return null;
    const sizeBytes = layout.length * bytesPerElement(dtype);
    return {
      dtype,
      weights: weightsMarker(`${this.#name}/${dtype}`, sizeBytes, isInFile(buffer)),
    };
  }

  #serve(name: string | undefined): void {
    const node = this.#system.nodes.find((one) => one.name === name);
    if (this.#isClosed || node === undefined || this.#copies.get(node.name)?.node === node) return;
    const spawn = async () => {
      const actor = `weights/${this.#name}/${node.name}`;
      await this.#system.stop({ name: actor });
      return this.#system.spawn({
        name: actor,
        protocol: weightsProtocol,
        module: new URL('./actor.ts', import.meta.url),
        create: 'weightsActor',
        // Models on other nodes compute on the processor.
        props: this.markers('cpu'),
        place: { node: node.name },
        // `RemoteCopy` starts another one, where the weights are wanted then.
        supervision: { onCrash: 'stop' },
      });
    };
    const { data: weights } = this.#arena;
    const copy = new RemoteCopy({ node, weights, logger: this.#logger, spawn });
    this.#copies.set(node.name, copy);
    void node.ended.then(() => {
      if (this.#copies.get(node.name) === copy) this.#copies.delete(node.name);
    });
    if (this.#version > 0) copy.bring(this.#version);
  }
}

/** The node in an address, `host-a` of `rollout/0@host-a`. */
function nodeOf(address: string): string | undefined {
  return address.split('@')[1];
}
