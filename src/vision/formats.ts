/** Formats of picture files, told by the first bytes of a file, whatever its name. */
import { CxmindError } from '../errors.ts';

/** Picture formats that are read. */
const READ = ['PNG', 'JPEG', 'WebP', 'GIF', 'TIFF', 'BMP', 'AVIF', 'DICOM'] as const;
export type PictureFormat = (typeof READ)[number];

/** Kind of file and the bytes, in Latin-1, that it has at an offset. The first match of a list counts. */
type Signature<K> = readonly [kind: K, bytes: string, offset?: number];

const PICTURES: readonly Signature<PictureFormat>[] = [
  // The 128 bytes before it may be those of a TIFF file that has the same pixels.
  ['DICOM', 'DICM', 128],
  ['PNG', '\x89PNG\r\n\x1a\n'],
  ['JPEG', '\xff\xd8\xff'],
  ['WebP', 'WEBP', 8],
  ['GIF', 'GIF87a'],
  ['GIF', 'GIF89a'],
  ['TIFF', 'II*\0'],
  ['TIFF', 'MM\0*'],
  ['TIFF', 'II+\0'],
  ['TIFF', 'MM\0+'],
  ['BMP', 'BM'],
  ['AVIF', 'ftypavif', 4],
  ['AVIF', 'ftypavis', 4],
];

/** Bytes of a file that contain every signature. */
const HEAD_BYTES = 512;

/** Other files that are found in data sets. An error names them, so that nobody looks for a broken picture. */
const OTHERS: readonly Signature<string>[] = [
  ['a Git LFS pointer, whose picture `git lfs pull` brings', 'version https://git-lfs'],
  ['a NIfTI file', 'n+1\0', 344],
  ['a JPEG 2000 file', '\0\0\0\x0cjP  '],
  ['a JPEG 2000 file', '\xffO\xffQ'],
  ['a JPEG XL file', '\0\0\0\x0cJXL '],
  ['a JPEG XL file', '\xff\x0a'],
  ['an HEIF or MP4 file', 'ftyp', 4],
  ['a Photoshop file', '8BPS'],
  ['an icon', '\0\0\x01\0'],
  ['a PDF file', '%PDF'],
  ['a NumPy file', '\x93NUMPY'],
  ['an HDF5 file', '\x89HDF'],
  ['a gzip file', '\x1f\x8b'],
  ['a ZIP file', 'PK\x03\x04'],
  ['an SVG file', '<svg'],
  ['an XML or SVG file', '<?xml'],
  ['an HTML page', '<!DOCTYPE'],
  ['an HTML page', '<!doctype'],
  ['an HTML page', '<html'],
  ['JSON', '{"'],
  ['a Netpbm file', 'P5'],
  ['a Netpbm file', 'P6'],
];

/**
 * Format of a picture file, by its first bytes.
 *
 * @throws DATA_INVALID naming the kind of any other file and the formats that are read
 */
export function formatOf(bytes: Uint8Array): PictureFormat {
  const format = kindOf(bytes, PICTURES);
  if (format !== undefined) return format;
  const kind = kindOf(bytes, OTHERS) ?? 'a file of no format that is known';
  throw new CxmindError('DATA_INVALID', `it is ${kind}; pictures are read from ${READ.join(', ')}`);
}

function kindOf<K>(bytes: Uint8Array, signatures: readonly Signature<K>[]): K | undefined {
  const head = Buffer.from(bytes.subarray(0, HEAD_BYTES)).toString('latin1');
  return signatures.find(([, start, offset = 0]) => head.startsWith(start, offset))?.[0];
}
