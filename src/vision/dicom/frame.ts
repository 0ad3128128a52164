/** First frame of a DICOM picture's encapsulated pixel data (DICOM PS3.5, A.4). */
import { unread, type DicomPicture } from './data-set.ts';

const ITEM = 0xe000fffe;
const HEADER_BYTES = 8;

/**
 * Encoded bytes of the first frame.
 *
 * The offset table says where the second frame begins. Without one, all fragments are one frame's, or each fragment is
 * a frame, or a frame ends with the fragment that ends in an end-of-image marker.
 *
 * @throws DATA_INVALID if there is no frame, RangeError if a fragment is cut short
 */
export function firstFrame({ pixels, frames }: DicomPicture): Uint8Array {
  const [table, ...fragments] = itemsOf(pixels);
  if (table === undefined || fragments.length === 0) throw unread('no frame');
  return Buffer.concat(fragments.slice(0, fragmentCount(table, fragments, frames)));
}

function fragmentCount(
  table: Uint8Array,
  fragments: readonly Uint8Array[],
  frames: number,
): number {
  if (frames === 1) return fragments.length;
  if (table.length >= 8) {
    const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
    const second = view.getUint32(4, true);
    let at = 0;
    const first = fragments.findIndex(({ length }) => (at += HEADER_BYTES + length) >= second);
    return first + 1;
  }
  if (frames === fragments.length) return 1;
  return fragments.findIndex(endsImage) + 1 || fragments.length;
}

/** Tells whether a fragment ends in an end-of-image marker, which a byte of padding may follow. */
function endsImage(fragment: Uint8Array): boolean {
  return Buffer.from(fragment.subarray(-3)).includes(Buffer.of(0xff, 0xd9));
}

/** Items of a sequence of fragments: the offset table, which may be empty, then the fragments. */
function itemsOf(pixels: Uint8Array): Uint8Array[] {
  const view = new DataView(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  const items: Uint8Array[] = [];
  for (let at = 0; at + HEADER_BYTES <= pixels.length;) {
    if (view.getUint32(at, true) !== ITEM) break;
    const length = view.getUint32(at + 4, true);
    at += HEADER_BYTES;
    if (length > pixels.length - at) throw new RangeError('a fragment is cut short');
    items.push(pixels.subarray(at, at + length));
    at += length;
  }
  return items;
}
