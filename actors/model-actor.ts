/** The base of actors that compute with a model, and the calls that profile them. */
import * as t from 'io-ts';
import type { Device, Profile, TimedRun } from '../src/device/device.ts';
import { openDevice } from '../src/device/open.ts';
import { SharedWeights, type ModelProps } from './model-props.ts';
import type { Actor } from './runtime/actor.ts';
import { call, type Protocol } from './runtime/protocol.ts';

/** A program or a kernel that ran. */
const TimedRunMessage = t.type({
  name: t.string,
  lane: t.string,
  startUs: t.number,
  durationUs: t.number,
});

/** Calls of every actor that computes, for profiling its device. */
export const profileCalls = {
  /** Starts timing programs and kernels. */
  startProfile: call(t.void, t.void),
  /** Stops timing; returns what ran since, which is nothing in an actor that started later. */
  endProfile: call(t.void, t.array(TimedRunMessage)),
};

/** An actor that computes with a model: its device, and the weights that it shares with other actors. */
export abstract class ModelActor implements Actor<Protocol<typeof profileCalls>> {
  protected readonly device: Device;
  protected readonly weights: SharedWeights;
  #profile: Profile | null = null;

  constructor(props: ModelProps) {
    const { device, threads } = props;
    this.device = openDevice({
      ...(device !== undefined && { device }),
      ...(threads !== undefined && { threads }),
    });
    this.weights = new SharedWeights(this.device, props);
  }

  startProfile(): void {
    this.#profile = this.device.profile();
  }

  async endProfile(): Promise<TimedRun[]> {
    const runs = (await this.#profile?.end()) ?? [];
    this.#profile = null;
    return runs;
  }
}
