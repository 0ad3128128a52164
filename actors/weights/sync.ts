import { CxmindError } from '../../src/errors.ts';
import type { DeviceName } from '../../src/device/open.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { bytesPerElement, type FloatDType } from '../../src/tensor/dtype.ts';
import { isInFile, letGo } from '../../src/tensor/file-memory.ts';
import { writeFloats } from '../../src/tensor/numbers.ts';
import { SharedVersion, versionBytes } from '../../transport/shared/version.ts';
import { deviceCopyBytes, forgetDeviceCopy } from '../device-copy.ts';
import type { Logger } from '../runtime/actor.ts';
import type { SharedMarker } from '../runtime/shared-blocks.ts';
import type { ActorSystem } from '../runtime/system.ts';
import { weightsProtocol } from './protocol.ts';
import { RemoteCopy } from './remote-copy.ts';

/** Where every process keeps weights of that name, as props say it. */
export interface WeightMarkers {
  readonly weights: SharedMarker;
  readonly version: SharedMarker;
  /** Their copy where models compute, in the dtype that they do it in; none where that is the weights themselves. */
  readonly working?:
    | { readonly dtype: FloatDType; readonly weights: SharedMarker }
    | { readonly dtype: FloatDType; readonly onDevice: SharedMarker };
}

/** Weights, and where and in which dtype models compute with them. */
export interface Synced {
  readonly arena: Arena;
  readonly computeDType: FloatDType;
  readonly devices: readonly DeviceName[];
  /** Whether they stay in the host's memory, from where a device has a module at a time. */
  readonly isOffloaded: boolean;
}

/** What is known of an actor's place. */
export interface Addressed {
  readonly name: string;
  readonly address: string;
}

/** The marker of an arena's block, in memory or in a file. */
export function weightsMarker(name: string, sizeBytes: number, isInFile = false): SharedMarker {
  return { $shared: `weights/${name}`, sizeBytes, isInFile };
}

/**
 * Brings the weights that are in this process to every other one that reads them.
 *
 * Each process has one block of them and its version. Who reads says which version it wants and waits for
 * it, so it does not matter when the bytes arrive: they are sent in the background as soon as there are new ones,
 * and at once to a process that joins late; a working copy is made of them where they arrive. There is one block, not two in turns: a synchronous step
 * has nothing to do with the old weights while new ones come, and a second block would double the memory.
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

  /** @param arena over the block that `weightsMarker(name, …)` stands for here */
  constructor(system: ActorSystem, name: string, synced: Synced, logger: Logger) {
    const { arena, computeDType, devices, isOffloaded } = synced;
    this.#system = system;
    this.#name = name;
    this.#arena = arena;
    this.#computeDType = computeDType;
    this.#isOffloaded = isOffloaded;
    this.#logger = logger;
    this.#shared = {
      weights: weightsMarker(name, arena.byteLength, isInFile(arena.buffer)),
      version: { $shared: `version/${name}`, sizeBytes: versionBytes },
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

  /** What actors that compute on a device are told of the weights. */
  markers(device: DeviceName): WeightMarkers {
    const working = this.#workingMarker(device);
    return { ...this.#shared, ...(working && { working }) };
  }

  /** What readers have to ask for: the version here, or the one that is coming. */
  get version(): number {
    return this.#version;
  }

  /** Sees to it that the process of an actor has the weights, wherever it restarts. */
  follow(ref: Addressed): void {
    this.#serve(nodeOf(ref.address));
    this.#system.watch(ref, ({ kind, node }) => {
      if (kind === 'started' || kind === 'restarted') this.#serve(node);
    });
  }

  /** The same for a learner, which also steps the weights where it is. */
  followLearner(ref: Addressed): void {
    const node = nodeOf(ref.address);
    if (node !== undefined) this.#learning.add(node);
    this.follow(ref);
  }

  /** The learners are about to step the weights: resolves once nobody reads them, nor sends them. */
  async revise(): Promise<void> {
    this.#here.current = 0;
    await Promise.all(
      [...this.#copies].map(([node, copy]) =>
        this.#learning.has(node) ? copy.revise() : copy.cancel(),
      ),
    );
  }

  /** The weights here are of this version, and those of the learners' nodes too once it is more than the first. */
  publish(version: number): void {
    if (version <= this.#version) {
      throw new CxmindError('INTERNAL', `weights: version ${version} after ${this.#version}`);
    }
    const isFirst = this.#version === 0;
    // From then on those who step the weights keep their copy up to date.
    if (isFirst && this.#working !== null) {
      writeFloats(this.#working.flat, 0, this.#arena.data);
      for (const { data } of [this.#arena, this.#working]) letGo(data);
    }
    this.#version = version;
    this.#here.current = version;
    for (const [node, copy] of this.#copies) {
      if (this.#learning.has(node) && !isFirst) copy.name(version);
      else copy.bring(version);
    }
  }

  /** Gives up on what is being sent, and takes its version off every copy: the next run's weights go there too. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#here.current = 0;
    await Promise.all([...this.#copies.values()].map((copy) => copy.revoke()));
  }

  /** The block of the working copy, or what threads know of it; null where models compute with the weights themselves. */
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
        // Another is started, where the weights are wanted then.
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
