import { cardProduct } from './cuda/card-product.ts';
import { isCard, ordinalOf, type DeviceName } from './open.ts';

/**
 * The name under which a device is sold, as in `NVIDIA H100 80GB HBM3`; null where it does not tell, as the processor
 * and `webgpu`.
 *
 * @throws DEVICE_MISSING where a card is named and CUDA is missing
 */
export function productOf(device: DeviceName): string | null {
  return isCard(device) ? cardProduct(ordinalOf(device)) : null;
}
