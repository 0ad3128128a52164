/**
 * Data set of a DICOM file (PS3.5, PS3.10), as far as its pixels and their levels need it.
 *
 * What leaves this file is a `DicomPicture`: geometry, the encoded pixels and how they become levels. No other attribute
 * is read, so none reaches a log, a report or a cache; errors of the parser are not passed on, because they hold the data
 * set. dicom-parser finds the elements.
 */
import { inflateRawSync } from 'node:zlib';
import dicomParser, { type DataSet, type Element } from 'dicom-parser';
import { CxmindError } from '../../errors.ts';
import type { ImageSize } from '../decoded-image.ts';

/** Lookup table of a grey or a colour, from the value `first` on. Values beside it get its first or last entry. */
export interface LookupTable {
  readonly first: number;
  readonly entries: Uint16Array;
  /** Bits of an entry. */
  readonly bits: number;
}

/** Function from a value to brightness by a centre and a width. */
export interface Window {
  readonly center: number;
  readonly width: number;
  readonly shape: 'LINEAR' | 'LINEAR_EXACT' | 'SIGMOID';
}

/** Map from stored values to those of the modality: Hounsfield units, for instance. */
type Modality = LookupTable | { readonly slope: number; readonly intercept: number };

/** Picture of a DICOM file. */
export interface DicomPicture extends ImageSize {
  readonly transferSyntax: string;
  /** Samples of a pixel, 1 or 3. */
  readonly channels: number;
  readonly frames: number;
  readonly colours: string;
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  readonly isSigned: boolean;
  /** Set if each colour is a plane of its own. */
  readonly isPlanar: boolean;
  readonly isBigEndian: boolean;
  /** Set if the pixels are words of 16 bits, whose bytes a big-endian file turns round. */
  readonly isInWords: boolean;
  /** Null if stored values are those of the modality. */
  readonly modality: Modality | null;
  /** First view that the file proposes: a table, else a window; null if there is none. */
  readonly view: LookupTable | Window | null;
  /** Tables of red, green and blue of a palette. */
  readonly palette: readonly LookupTable[] | null;
  /** Pixel data: native frames, or fragments if `isEncapsulated`. */
  readonly pixels: Uint8Array;
  readonly isEncapsulated: boolean;
}

/** Most bytes of an inflated data set. */
const MOST_INFLATED = 2 ** 28;
const SHAPES = ['LINEAR', 'LINEAR_EXACT', 'SIGMOID'] as const;
const PALETTE = ['1', '2', '3'] as const;
const PIXEL_DATA = 'x7fe00010';
const UNDEFINED_LENGTH = 0xffffffff;

/**
 * Reads the data set of a DICOM file.
 *
 * @throws DATA_INVALID if it is cut short, holds no picture, or one of a kind that is not read
 */
export function dicomPicture(file: Uint8Array): DicomPicture {
  const set = parse(file);
  const element = set.elements[PIXEL_DATA];
  const number = (tag: string): number | null => set.uint16(tag) ?? null;
  const [height, width] = [number('x00280010'), number('x00280011')];
  if (element === undefined || height === null || width === null) {
    throw unread('no pixel data of integers: it may be a report, a plan or a waveform');
  }
  const bitsAllocated = number('x00280100');
  if (bitsAllocated === null) throw unread('no number of allocated bits');
  const colours = set.string('x00280004') ?? '';
  const frames = set.intString('x00280008') ?? 1;
  const isSigned = number('x00280103') === 1;
  return {
    transferSyntax: set.string('x00020010') ?? '',
    width,
    height,
    channels: number('x00280002') ?? 1,
    frames: Number.isInteger(frames) && frames > 0 ? frames : 1,
    colours,
    bitsAllocated,
    bitsStored: number('x00280101') ?? bitsAllocated,
    isSigned,
    isPlanar: number('x00280006') === 1,
    isBigEndian: isBigEndian(set),
    isInWords: element.vr !== 'OB',
    modality: modalityOf(set, isSigned),
    view: viewOf(set, isSigned),
    palette: colours === 'PALETTE COLOR' ? PALETTE.map((i) => paletteOf(set, i, isSigned)) : null,
    ...pixelsOf(set, element),
  };
}

function parse(file: Uint8Array): DataSet {
  try {
    return dicomParser.parseDicom(file, { untilTag: PIXEL_DATA, inflater });
  } catch (cause) {
    if (cause instanceof CxmindError) throw cause;
    throw new CxmindError('DATA_INVALID', 'its DICOM data set is cut short or broken');
  }
}

/** File whose data set from `position` on is inflated. */
function inflater(file: Uint8Array, position: number): Uint8Array {
  try {
    const options = { maxOutputLength: MOST_INFLATED };
    const inflated = inflateRawSync(file.subarray(position), options);
    return Buffer.concat([file.subarray(0, position), inflated]);
  } catch {
    throw new CxmindError(
      'DATA_INVALID',
      `its deflated data set is broken, or inflates to more than ${MOST_INFLATED} bytes`,
    );
  }
}

function isBigEndian(set: DataSet): boolean {
  return set.byteArrayParser.readUint16(Uint8Array.of(0, 1), 0) === 1;
}

function pixelsOf(set: DataSet, element: Element): Pick<DicomPicture, 'pixels' | 'isEncapsulated'> {
  const { dataOffset, length, hadUndefinedLength } = element;
  const isEncapsulated = hadUndefinedLength === true || length === UNDEFINED_LENGTH;
  const end = isEncapsulated ? undefined : dataOffset + length;
  return { pixels: set.byteArray.subarray(dataOffset, end), isEncapsulated };
}

/** @see DICOM PS3.3, C.11.1 */
function modalityOf(set: DataSet, isSigned: boolean): Modality | null {
  const table = tableOf(itemOf(set, 'x00283000'), 'x00283002', 'x00283006', isSigned);
  if (table !== null) return table;
  const source = sharedItem(set, 'x00289145') ?? set;
  const [slope, intercept] = [decimal(source, 'x00281053'), decimal(source, 'x00281052')];
  return slope === null || intercept === null ? null : { slope, intercept };
}

/** @see DICOM PS3.3, C.11.2 */
function viewOf(set: DataSet, isSigned: boolean): DicomPicture['view'] {
  const table = tableOf(itemOf(set, 'x00283010'), 'x00283002', 'x00283006', isSigned);
  if (table !== null) return table;
  const source = sharedItem(set, 'x00289132') ?? set;
  const [center, width] = [decimal(source, 'x00281050'), decimal(source, 'x00281051')];
  if (center === null || width === null) return null;
  const name = source.string('x00281056')?.toUpperCase() ?? 'LINEAR';
  const shape = SHAPES.find((known) => known === name);
  if (shape === undefined) throw unread('a VOI LUT function that is not in the standard');
  return { center, width, shape };
}

function paletteOf(set: DataSet, colour: string, isSigned: boolean): LookupTable {
  const table = tableOf(set, `x0028110${colour}`, `x0028120${colour}`, isSigned);
  if (table === null) throw unread('a palette without tables, or with segmented ones');
  return table;
}

/** Lookup table from its descriptor and its data; null if one of them is absent. */
function tableOf(
  set: DataSet | null,
  descriptor: string,
  data: string,
  isSigned: boolean,
): LookupTable | null {
  const [described, stored] = [set?.elements[descriptor], set?.elements[data]];
  if (set == null || described === undefined || stored === undefined) return null;
  const [count, bits] = [set.uint16(descriptor, 0), set.uint16(descriptor, 2)];
  // The first value has the representation of the pixels unless the file says which it has.
  const isFirstSigned = described.vr === 'SS' || (described.vr !== 'US' && isSigned);
  const first = isFirstSigned ? set.int16(descriptor, 1) : set.uint16(descriptor, 1);
  if (count === undefined || first === undefined || bits === undefined) return null;
  const length = count === 0 ? 2 ** 16 : count;
  if (bits < 1 || bits > 16) throw unread(`a lookup table of ${bits} bits`);
  const { byteArray, byteArrayParser } = set;
  const { dataOffset } = stored;
  // Entries of 8 bits may stand in a byte each.
  const isInBytes = stored.length < 2 * length;
  if (isInBytes && (stored.length < length || bits > 8)) throw unread('a lookup table cut short');
  const entries = Uint16Array.from({ length }, (_, i) =>
    isInBytes
      ? byteArray[dataOffset + i]!
      : byteArrayParser.readUint16(byteArray, dataOffset + 2 * i),
  );
  return { first, bits, entries };
}

/** First item of a sequence. */
function itemOf(set: DataSet, tag: string): DataSet | null {
  return set.elements[tag]?.items?.[0]?.dataSet ?? null;
}

/** Item of an enhanced multi-frame file's functional groups: the one of all frames, else that of the first frame. */
function sharedItem(set: DataSet, tag: string): DataSet | null {
  for (const groups of ['x52009229', 'x52009230']) {
    const item = itemOf(set, groups);
    const found = item && itemOf(item, tag);
    if (found !== null) return found;
  }
  return null;
}

/** First number of a decimal string; null if it is absent or no number. */
function decimal(set: DataSet, tag: string): number | null {
  const value = set.floatString(tag, 0);
  return value !== undefined && Number.isFinite(value) ? value : null;
}

/** Error of a picture that is not read. */
export function unread(what: string): CxmindError {
  return new CxmindError('DATA_INVALID', `it has ${what}`);
}
