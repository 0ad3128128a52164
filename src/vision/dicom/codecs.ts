/**
 * Decoders of compressed frames: JPEG of 8 bits by sharp, of more bits and lossless by the files beside this one,
 * JPEG-LS by CharLS and JPEG 2000 by OpenJPEG, both compiled to WebAssembly.
 *
 * Each WebAssembly decoder lives for one frame: what a broken frame leaves in its memory ends with it. A frame's own
 * header is held against the DICOM file's before anything of that size is allocated.
 */
import { CxmindError } from '../../errors.ts';
import { openBySharp } from '../sharp-image.ts';
import { unread, type DicomPicture } from './data-set.ts';
import { decodeDct } from './jpeg-dct.ts';
import { decodeLossless } from './jpeg-lossless.ts';
import { jpegStream, type JpegStream } from './jpeg-stream.ts';

/** Samples of a frame, `[height, width, channels]`. */
export interface Samples {
  /** Two's complement of `bits` bits if the picture is signed. */
  readonly data: Uint8Array | Uint16Array;
  /** Used bits of a sample. */
  readonly bits: number;
  /** Colours that the frame itself declares; absent if it declares none and the file's apply. */
  readonly colours?: 'RGB' | 'YBR_FULL';
}

/** Component names by which a stream says that it is RGB. */
const RGB_NAMES = ['RGB', 'rgb'];
const [BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS, JPEG_LS] = [0xc0, 0xc1, 0xc2, 0xc3, 0xf7];

/** @throws DATA_INVALID or any error if the frame is broken */
export async function decodeJpeg(frame: Uint8Array, picture: DicomPicture): Promise<Samples> {
  const stream = jpegStream(frame);
  checkSize(stream, picture);
  const { process, precision: bits } = stream.frame;
  const colours = coloursOf(stream);
  if (process === LOSSLESS) return { data: decodeLossless(frame, stream), bits, ...colours };
  if (bits === 8 && [BASELINE, EXTENDED, PROGRESSIVE].includes(process)) {
    return decodeBaseline(frame, stream);
  }
  if (process !== EXTENDED) throw unread(`a JPEG process ${process - BASELINE} of ${bits} bits`);
  return { data: decodeDct(frame, stream), bits };
}

/** @throws DATA_INVALID or any error if the frame is broken */
export async function decodeJpegLs(frame: Uint8Array, picture: DicomPicture): Promise<Samples> {
  const stream = jpegStream(frame);
  if (stream.frame.process !== JPEG_LS) throw unread('a frame that is not JPEG-LS');
  checkSize(stream, picture);
  const { default: open } = await import('@cornerstonejs/codec-charls/decodewasmjs');
  const codec = await open(silent());
  const data = decodeBy(new codec.JpegLSDecoder(), frame, picture);
  const bits = stream.frame.precision;
  return { data: bits > 8 ? inWords(data) : data, bits, ...coloursOf(stream) };
}

/** @throws DATA_INVALID or any error if the frame is broken */
export async function decodeJpeg2000(frame: Uint8Array, picture: DicomPicture): Promise<Samples> {
  const bits = checkCodestream(frame, picture);
  const { default: open } = await import('@cornerstonejs/codec-openjpeg/decodewasmjs');
  const codec = await open(silent());
  const data = decodeBy(new codec.J2KDecoder(), frame, picture);
  return { data: bits > 8 ? inWords(data) : data, bits };
}

/** Settings of a codec that prints nothing. The codec keeps the object as its own state. */
function silent(): Printing {
  return { print: () => undefined, printErr: () => undefined };
}

/** Decodes a frame and copies its samples out of the codec's memory. */
function decodeBy(decoder: WasmDecoder, frame: Uint8Array, picture: DicomPicture): Uint8Array {
  try {
    decoder.getEncodedBuffer(frame.length).set(frame);
    decoder.decode();
    const { width, height } = decoder.getFrameInfo();
    if (width !== picture.width || height !== picture.height) throw cutShort();
    return Uint8Array.from(decoder.getDecodedBuffer());
  } catch (cause) {
    if (cause instanceof CxmindError) throw cause;
    // The codec throws the address of a C++ exception.
    throw cutShort();
  } finally {
    decoder.delete();
  }
}

function cutShort(): CxmindError {
  return new CxmindError('DATA_INVALID', 'its compressed frame is cut short or broken');
}

/**
 * Samples of an 8-bit JPEG frame. An Adobe segment makes libjpeg convert colours or not; without one the samples stay
 * as they are encoded, and the DICOM file tells their colours.
 */
async function decodeBaseline(frame: Uint8Array, stream: JpegStream): Promise<Samples> {
  const isOwn = stream.frame.components.length === 1 || stream.adobeTransform !== null;
  const plain = isOwn ? frame : withoutTransform(frame, stream);
  const opened = await openBySharp(plain, 'JPEG');
  const { data } = await opened.decode({ bitDepth: 16, window: null });
  const isConverted = stream.adobeTransform !== null && stream.adobeTransform > 0;
  return { data, bits: 8, ...(isConverted ? { colours: 'RGB' as const } : coloursOf(stream)) };
}

/** Stream with an Adobe segment by which its colours stay as they are, and no JFIF segment to overrule it. */
function withoutTransform(frame: Uint8Array, { jfifOffset }: JpegStream): Uint8Array {
  const adobe = Buffer.from('\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0', 'latin1');
  const plain = Buffer.concat([frame.subarray(0, 2), adobe, frame.subarray(2)]);
  if (jfifOffset !== null) plain[adobe.length + jfifOffset] = 0;
  return plain;
}

/** Colours that a stream declares by its components' names or by a JFIF segment, as pydicom takes them. */
function coloursOf({ frame, jfifOffset }: JpegStream): Pick<Samples, 'colours'> {
  if (frame.components.length !== 3) return {};
  const name = String.fromCharCode(...frame.components.map(({ id }) => id));
  if (RGB_NAMES.includes(name)) return { colours: 'RGB' };
  return jfifOffset !== null ? { colours: 'YBR_FULL' } : {};
}

function checkSize({ frame }: JpegStream, { width, height, channels }: DicomPicture): void {
  if (
    frame.width !== width ||
    frame.height !== height ||
    frame.components.length !== channels ||
    frame.precision < 2 ||
    frame.precision > 16
  ) {
    throw unread(
      `a frame of ${frame.width} x ${frame.height} pixels, ${frame.components.length} samples each of ${frame.precision} bits, that is said to be ${width} x ${height} of ${channels}`,
    );
  }
}

/** Checks the size in a JPEG 2000 codestream's header, and returns the bits of a sample (T.800, A.5.1). */
function checkCodestream(frame: Uint8Array, { width, height, channels }: DicomPicture): number {
  const at = Buffer.from(frame.buffer, frame.byteOffset, frame.length).indexOf(
    Buffer.of(0xff, 0x4f, 0xff, 0x51),
  );
  if (at < 0) throw unread('a frame that is not JPEG 2000');
  const view = new DataView(frame.buffer, frame.byteOffset + at + 8);
  const [right, bottom, left, top] = [0, 4, 8, 12].map((offset) => view.getUint32(offset));
  const count = view.getUint16(32);
  const bits = (view.getUint8(34) & 0x7f) + 1;
  if (right! - left! !== width || bottom! - top! !== height || count !== channels || bits > 16) {
    throw unread(
      `a frame of ${right! - left!} x ${bottom! - top!} pixels, ${count} samples each of ${bits} bits, that is said to be ${width} x ${height} of ${channels}`,
    );
  }
  return bits;
}

/** Little-endian words. @throws RangeError if a byte is left over */
function inWords(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
}
