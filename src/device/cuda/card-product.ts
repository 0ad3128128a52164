import { openDriver } from './driver.ts';
import { define, type Out } from './library.ts';

/** Most bytes of a name, its final zero included. */
const NAME_BYTES = 256;

/**
 * The name under which a card is sold, as in `NVIDIA H100 80GB HBM3`; null where the driver does not tell.
 *
 * @throws DEVICE_MISSING without the driver
 */
export function cardProduct(ordinal: number): string | null {
  const library = openDriver();
  const init = define<[number]>(library, 'cuInit', ['uint']);
  const get = define<[Out, number]>(library, 'cuDeviceGet', ['void *', 'int']);
  const nameOf = define<[Uint8Array, number, number]>(library, 'cuDeviceGetName', [
    ...['void *', 'int', 'int'],
  ]);
  const device: Out = new BigUint64Array(new SharedArrayBuffer(8));
  const text = new Uint8Array(new SharedArrayBuffer(NAME_BYTES));
  if (init(0) !== 0 || get(device, ordinal) !== 0) return null;
  const handle = Number(device[0]! & 0xffffffffn);
  if (nameOf(text, NAME_BYTES, handle) !== 0) return null;
  return Buffer.from(text.subarray(0, text.indexOf(0))).toString('latin1');
}
