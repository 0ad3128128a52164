import * as t from 'io-ts';
import type { Device, Profile, TimedRun } from '../src/device/device.ts';
import { call } from './runtime/protocol.ts';

/** A program or a kernel that ran, as actors tell of it. */
const TimedRunMessage = t.type({
  name: t.string,
  lane: t.string,
  startUs: t.number,
  durationUs: t.number,
});

/** What every actor that computes is asked about what its device runs. */
export const profileCalls = {
  /** Time it from now on. */
  startProfile: call(t.void, t.void),
  /** Time it no more; what ran since, nothing in an actor that was not there yet. */
  endProfile: call(t.void, t.array(TimedRunMessage)),
};

/** An actor's device while it is profiled, or not. */
export class DeviceProfile {
  readonly #device: Device;
  #profile: Profile | null = null;

  constructor(device: Device) {
    this.#device = device;
  }

  start(): void {
    this.#profile = this.#device.profile();
  }

  async end(): Promise<TimedRun[]> {
    const runs = (await this.#profile?.end()) ?? [];
    this.#profile = null;
    return runs;
  }
}
