/** Colours of DICOM pictures. */

const BLUE_OF_CB = Math.fround(1.772);
const GREEN_OF_CB = Math.fround((-0.114 * 1.772) / 0.587);
const GREEN_OF_CR = Math.fround((-0.299 * 1.402) / 0.587);
const RED_OF_CR = Math.fround(1.402);

/**
 * Converts YBR_FULL pixels of 8 bits to RGB, in f32 as pydicom does.
 *
 * @param data `[pixels, 3]`
 * @see DICOM PS3.3, C.7.6.3.1.2; ITU-T T.871, section 7
 */
export function rgbOf(data: Uint8Array | Uint16Array): Uint8Array {
  const rgb = new Uint8Array(data.length);
  for (let i = 0; i + 2 < data.length; i += 3) {
    const [y, cb, cr] = [data[i]!, data[i + 1]! - 128, data[i + 2]! - 128];
    rgb[i] = rounded(y + RED_OF_CR * cr);
    rgb[i + 1] = rounded(Math.fround(y + GREEN_OF_CB * cb) + GREEN_OF_CR * cr);
    rgb[i + 2] = rounded(y + BLUE_OF_CB * cb);
  }
  return rgb;
}

function rounded(level: number): number {
  const half = Math.fround(Math.fround(level) + 0.5);
  return Math.max(0, Math.min(255, Math.floor(half)));
}
