import { openCardGauge, type CardMemory } from './cuda/card-memory.ts';
import { ordinalOf, type Card, type DeviceName } from './open.ts';

/** Memory of a device, in bytes, whoever uses it. */
export interface DeviceMemory extends CardMemory {
  readonly device: DeviceName;
}

/**
 * Opens a gauge of the memory of devices. Those that do not tell of memory of their own are left out: the processor,
 * which has the host's, and `webgpu`, whose interface has no question for it.
 *
 * @throws DEVICE_MISSING where a card is named and CUDA is missing
 */
export function openMemoryGauge(devices: readonly DeviceName[]): () => DeviceMemory[] {
  const cards = [...new Set(devices)].filter(isCard).sort();
  if (cards.length === 0) return () => [];
  const memoryOf = openCardGauge();
  return () =>
    cards.flatMap((device) => {
      const memory = memoryOf(ordinalOf(device));
      return memory === null ? [] : [{ device, ...memory }];
    });
}

function isCard(device: DeviceName): device is Card {
  return device.startsWith('cuda:');
}
