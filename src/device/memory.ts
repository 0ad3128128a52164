import { openCardGauge, type CardMemory } from './cuda/card-memory.ts';
import { isCard, ordinalOf, type DeviceName } from './open.ts';

/** Memory of a device, in bytes, whoever uses it. */
export interface DeviceMemory extends CardMemory {
  readonly device: DeviceName;
}

/** A gauge of the memory of devices, which keeps the most that it has shown. */
export class MemoryGauge {
  readonly #readings: () => readonly DeviceMemory[];
  #peakBytes = 0;

  /** @param readings the memory of each device now */
  constructor(readings: () => readonly DeviceMemory[]) {
    this.#readings = readings;
  }

  /** Reads the memory of each device. */
  read(): readonly DeviceMemory[] {
    const readings = this.#readings();
    const used = readings.map(({ freeBytes, totalBytes }) => totalBytes - freeBytes);
    this.#peakBytes = Math.max(this.#peakBytes, ...used);
    return readings;
  }

  /** The most memory in use on one device, in bytes, at any reading; 0 where no device told. */
  get peakBytes(): number {
    return this.#peakBytes;
  }
}

/**
 * Opens a gauge of the memory of devices. Those that do not tell of memory of their own are left out: the processor,
 * which has the host's, and `webgpu`, whose interface has no question for it.
 *
 * @throws DEVICE_MISSING where a card is named and CUDA is missing
 */
export function openMemoryGauge(devices: readonly DeviceName[]): MemoryGauge {
  const cards = [...new Set(devices)].filter(isCard).sort();
  if (cards.length === 0) return new MemoryGauge(() => []);
  const memoryOf = openCardGauge();
  return new MemoryGauge(() =>
    cards.flatMap((device) => {
      const memory = memoryOf(ordinalOf(device));
      return memory === null ? [] : [{ device, ...memory }];
    }),
  );
}
