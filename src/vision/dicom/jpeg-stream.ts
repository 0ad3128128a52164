/**
 * Segments and entropy-coded bits of a JPEG stream with Huffman codes (ITU-T T.81, annexes B and F), as far as DICOM's
 * 12-bit and lossless processes need them: one scan, which has all components.
 *
 * libjpeg-turbo, behind sharp, reads only 8-bit pictures, and decodes neither of these processes.
 */
import { CxmindError } from '../../errors.ts';
import type { ImageSize } from '../decoded-image.ts';

/** Component of a frame, as its header and its scan's header declare it. */
interface JpegComponent {
  readonly quantization: Uint16Array | undefined;
  /** Codes of DC coefficients, or of a lossless process's differences. */
  readonly dc: HuffmanTable | undefined;
  readonly ac: HuffmanTable | undefined;
}

/** Size and process of a JPEG picture, from the header of its frame. */
interface JpegFrame extends ImageSize {
  /** Marker of the process: 0xc0 baseline, 0xc1 extended, 0xc2 progressive, 0xc3 lossless, 0xf7 JPEG-LS. */
  readonly process: number;
  /** Bits of a sample. */
  readonly precision: number;
  readonly components: readonly FrameComponent[];
}

interface FrameComponent {
  readonly id: number;
  /** Horizontal and vertical sampling factors, four bits each. */
  readonly sampling: number;
  readonly table: number;
}

/** JPEG stream up to its first scan's entropy-coded bits. */
export interface JpegStream {
  readonly frame: JpegFrame;
  /** Offset of a JFIF segment's name; null if there is none. It says that three components are YCbCr. */
  readonly jfifOffset: number | null;
  /** Colour transform that an Adobe segment names; null if there is none. */
  readonly adobeTransform: number | null;
  readonly scan: JpegScan | null;
}

/** Header of a scan and the tables that it names. */
interface JpegScan {
  readonly components: readonly JpegComponent[];
  /** First coefficient, or the predictor of a lossless process. */
  readonly start: number;
  /** Low bit of the successive approximation, or the point transform of a lossless process. */
  readonly low: number;
  /** Units between two restarts; 0 if there are none. */
  readonly restartInterval: number;
  /** Offset of the entropy-coded bits. */
  readonly offset: number;
}

/** Symbol of the next 16 bits, in the low byte, under the length of its code; 0 if no code begins so. */
export type HuffmanTable = Uint16Array;

const [DHT, SOI, EOI, SOS, DQT, DRI, APP0, APP14] = [
  0xc4, 0xd8, 0xd9, 0xda, 0xdb, 0xdd, 0xe0, 0xee,
];
/** Markers that begin a frame header: SOF0 to SOF15, less the three among them that do not, and JPEG-LS's. */
const FRAME_HEADERS: ReadonlySet<number> = new Set([
  ...[0xc0, 0xc1, 0xc2, 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf, 0xf7],
]);

interface Tables {
  readonly quantization: Uint16Array[];
  readonly dc: HuffmanTable[];
  readonly ac: HuffmanTable[];
  restartInterval: number;
}

/**
 * Reads the segments of a JPEG or JPEG-LS stream up to the first scan.
 *
 * @throws DATA_INVALID if it has no frame, RangeError if it is cut short
 */
export function jpegStream(bytes: Uint8Array): JpegStream {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tables: Tables = { quantization: [], dc: [], ac: [], restartInterval: 0 };
  let frame: JpegFrame | null = null;
  let jfifOffset: number | null = null;
  let adobeTransform: number | null = null;
  if (view.getUint16(0) !== 0xff00 + SOI) throw broken('it does not begin as one');
  for (let at = 2; ;) {
    if (view.getUint8(at) !== 0xff) throw broken(`byte ${at} is no marker`);
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (marker === EOI) throw broken('it ends before its picture');
    const size = view.getUint16(at + 2);
    const bodyAt = at + 4;
    const body = new DataView(view.buffer, view.byteOffset + bodyAt, checked(size, view, at));
    at += 2 + size;
    if (FRAME_HEADERS.has(marker)) frame = frameOf(marker, body);
    else if (marker === DQT) readQuantization(body, tables);
    else if (marker === DHT) readHuffman(body, tables);
    else if (marker === DRI) tables.restartInterval = body.getUint16(0);
    else if (marker === APP0) jfifOffset ??= startsWith(body, 'JFIF') ? bodyAt : null;
    else if (marker === APP14 && startsWith(body, 'Adobe')) adobeTransform = body.getUint8(11);
    else if (marker === SOS) {
      if (frame === null) throw broken('it has a scan before its frame');
      const scan = frame.process === 0xf7 ? null : scanOf(body, frame, tables, at);
      return { frame, jfifOffset, adobeTransform, scan };
    }
  }
}

/** Bytes of a segment's body. @throws DATA_INVALID if the segment has no room for its own size */
function checked(size: number, view: DataView, at: number): number {
  if (size < 2) throw broken(`the segment at byte ${at} has ${size} bytes`);
  if (at + 2 + size > view.byteLength) throw new RangeError('a segment exceeds the stream');
  return size - 2;
}

function startsWith(body: DataView, text: string): boolean {
  const { buffer, byteOffset, byteLength } = body;
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1').startsWith(text);
}

function frameOf(process: number, body: DataView): JpegFrame {
  const count = body.getUint8(5);
  return {
    process,
    precision: body.getUint8(0),
    height: body.getUint16(1),
    width: body.getUint16(3),
    components: Array.from({ length: count }, (_, i) => ({
      id: body.getUint8(6 + 3 * i),
      sampling: body.getUint8(7 + 3 * i),
      table: body.getUint8(8 + 3 * i),
    })),
  };
}

function scanOf(body: DataView, frame: JpegFrame, tables: Tables, offset: number): JpegScan {
  const count = body.getUint8(0);
  const components = Array.from({ length: count }, (_, i) => {
    const id = body.getUint8(1 + 2 * i);
    const selected = body.getUint8(2 + 2 * i);
    const declared = frame.components.find((each) => each.id === id);
    if (declared === undefined) throw broken(`its scan names a component ${id} that it lacks`);
    const { [declared.table]: quantization } = tables.quantization;
    const [dc, ac] = [tables.dc[selected >> 4], tables.ac[selected & 15]];
    return { quantization, dc, ac };
  });
  const last = 1 + 2 * count;
  const [start, low] = [body.getUint8(last), body.getUint8(last + 2) & 15];
  return { components, start, low, restartInterval: tables.restartInterval, offset };
}

function readQuantization(body: DataView, tables: Tables): void {
  for (let at = 0; at < body.byteLength;) {
    const head = body.getUint8(at++);
    const wide = head >> 4 === 0 ? 1 : 2;
    tables.quantization[head & 15] = Uint16Array.from({ length: 64 }, (_, i) =>
      wide === 1 ? body.getUint8(at + i) : body.getUint16(at + 2 * i),
    );
    at += 64 * wide;
  }
}

/** Reads code tables: how many codes there are of each length, then the symbols in the order of their codes. */
function readHuffman(body: DataView, tables: Tables): void {
  for (let at = 0; at < body.byteLength;) {
    const head = body.getUint8(at);
    const table = new Uint16Array(2 ** 16);
    let symbolAt = at + 17;
    let code = 0;
    for (let length = 1; length <= 16; length++) {
      const spread = 2 ** (16 - length);
      for (let count = body.getUint8(at + length); count > 0; count--) {
        table.fill((length << 8) | body.getUint8(symbolAt++), code, code + spread);
        code += spread;
      }
    }
    if (code > 2 ** 16) throw broken('its codes are no prefix codes');
    tables[head >> 4 === 0 ? 'dc' : 'ac'][head & 15] = table;
    at = symbolAt;
  }
}

/** Reader of the entropy-coded bits of a scan. */
export class JpegBits {
  readonly #bytes: Uint8Array;
  #at: number;
  /** Bits that were read of the bytes before `#at`, the next one highest, and their number. */
  #bits = 0;
  #count = 0;
  /** Zero bits that stand for what lies after the end; taking one is an error. */
  #missing = 0;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.#at = offset;
  }

  /** Symbol of the next code. @throws RangeError if the bits end, DATA_INVALID if no code begins with them */
  symbol(table: HuffmanTable): number {
    this.#fill(16);
    const entry = table[(this.#bits >>> (this.#count - 16)) & 0xffff]!;
    if (entry === 0) throw broken('it has bits that are no code');
    this.#drop(entry >> 8);
    return entry & 0xff;
  }

  /** Signed number of `size` bits whose first bit is its sign: T.81's EXTEND of RECEIVE. */
  signed(size: number): number {
    if (size === 0) return 0;
    this.#fill(size);
    const value = (this.#bits >>> (this.#count - size)) & (2 ** size - 1);
    this.#drop(size);
    return value < 2 ** (size - 1) ? value - (2 ** size - 1) : value;
  }

  /** Goes to the bits after the next restart marker. @throws DATA_INVALID if there is none */
  restart(): void {
    [this.#bits, this.#count, this.#missing] = [0, 0, 0];
    while (this.#bytes[this.#at] === 0xff && this.#bytes[this.#at + 1] === 0xff) this.#at++;
    const marker = this.#bytes[this.#at + 1] ?? 0;
    if (this.#bytes[this.#at] !== 0xff || marker < 0xd0 || marker > 0xd7) {
      throw broken('it lacks a restart marker');
    }
    this.#at += 2;
  }

  /** Makes at least `count` bits ready, 16 at most. A marker ends the bits; zeros stand for those after it. */
  #fill(count: number): void {
    while (this.#count < count) {
      const byte = this.#bytes[this.#at];
      const isEnd = byte === undefined || (byte === 0xff && this.#bytes[this.#at + 1] !== 0);
      if (isEnd) this.#missing += 8;
      else this.#at += byte === 0xff ? 2 : 1;
      this.#bits = ((this.#bits & 0xffff) << 8) | (isEnd ? 0 : byte);
      this.#count += 8;
    }
  }

  #drop(count: number): void {
    this.#count -= count;
    if (this.#count < this.#missing) throw new RangeError('the entropy-coded bits end too early');
  }
}

/** Error of a JPEG stream. */
export function broken(reason: string): CxmindError {
  return new CxmindError('DATA_INVALID', `its JPEG stream is broken: ${reason}`);
}
