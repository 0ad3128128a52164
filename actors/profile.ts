import * as t from 'io-ts';
import type { Device, Profile, TimedRun } from '../src/device/device.ts';
import { call } from './runtime/protocol.ts';

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

/** The profile of an actor's device. */
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
