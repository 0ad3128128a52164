import { CxmindError } from '../errors.ts';
import { SAMPLES, type OpenedImage } from './decoded-image.ts';
import { firstSamples } from './modes.ts';
import type { ImageSize } from './resize.ts';
import { openBySharp } from './sharp-image.ts';

/** Where a picture lies, in pixels. */
interface Area extends ImageSize {
  readonly left: number;
  readonly top: number;
}

/** The first frame of a GIF file. */
interface GifFrame {
  /** What is shown; the frame lies in it. */
  readonly screen: ImageSize;
  readonly area: Area;
  /** `[256, 3]`, RGB; an index that has no colour is black, as Pillow has it. */
  readonly palette: Uint8Array;
  /** Whether the indices are levels themselves, so that Pillow takes the picture to be grey. */
  readonly isGrey: boolean;
  /** The index that stands where the frame does not. */
  readonly ground: number;
  readonly isInterlaced: boolean;
  /** The compressed indices: their code size and their blocks, less the empty one that ends them. */
  readonly indices: Uint8Array;
}

const HEADER_BYTES = 13;
const AREA_BYTES = 9;
const COLOURS = 256;
const EXTENSION = 0x21;
const GRAPHIC_CONTROL = 0xf9;
const FRAME = 0x2c;
const END = 0x3b;

/**
 * Opens the first frame of a GIF file, its transparent pixels in the colour that their index has.
 *
 * @throws DATA_INVALID where there is none, RangeError where the file is cut short
 * @see GIF89a specification; Pillow, GifImagePlugin.py
 */
export function openGif(file: Uint8Array): OpenedImage {
  const frame = firstFrame(file);
  const { width, height } = frame.screen;
  return {
    width,
    height,
    sampleBits: 8,
    async decode(bitDepth) {
      const opened = await openBySharp(fileOf(frame), 'GIF');
      const rgb = onScreen(frame, (await opened.decode(bitDepth)).data);
      const image = { width, height, wide: null };
      return frame.isGrey
        ? { ...image, mode: 'L', data: firstSamples(rgb, SAMPLES.RGB, SAMPLES.L), isIndexed: false }
        : { ...image, mode: 'RGB', data: rgb, isIndexed: true };
    },
  };
}

function firstFrame(file: Uint8Array): GifFrame {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const areaAt = (at: number): Area => {
    const [left, top, width, height] = [0, 2, 4, 6].map((i) => view.getUint16(at + i, true));
    return { left: left!, top: top!, width: width!, height: height! };
  };
  /** The table of colours behind a byte that says whether there is one. */
  const tableAt = (flagsAt: number, start: number): Uint8Array | null => {
    const flags = view.getUint8(flagsAt);
    return (flags & 0x80) === 0 ? null : file.subarray(start, start + 3 * 2 ** ((flags & 7) + 1));
  };
  /** Where the empty block stands that ends those from there on, or the file does. */
  const blocksEnd = (start: number): number => {
    let at = start;
    while (at < file.length && file[at] !== 0) at += 1 + file[at]!;
    return at;
  };
  const shared = tableAt(10, HEADER_BYTES);
  let transparent: number | null = null;
  for (let at = HEADER_BYTES + (shared?.length ?? 0); at < file.length && file[at] !== END;) {
    const kind = view.getUint8(at++);
    if (kind === EXTENSION) {
      const hasTransparency = file[at] === GRAPHIC_CONTROL && (view.getUint8(at + 2) & 1) === 1;
      if (hasTransparency) transparent = view.getUint8(at + 5);
      at = blocksEnd(at + 1) + 1;
    } else if (kind === FRAME) {
      const area = areaAt(at);
      const own = tableAt(at + 8, at + AREA_BYTES);
      const colours = own ?? shared ?? new Uint8Array(0);
      const isGrey = colours.every((level, i) => level === Math.floor(i / 3));
      const start = at + AREA_BYTES + (own?.length ?? 0);
      return {
        screen: {
          width: Math.max(view.getUint16(6, true), area.left + area.width),
          height: Math.max(view.getUint16(8, true), area.top + area.height),
        },
        area,
        palette: Uint8Array.from({ length: 3 * COLOURS }, (_, i) =>
          isGrey ? Math.floor(i / 3) : (colours[i] ?? 0),
        ),
        isGrey,
        ground: transparent ?? 0,
        isInterlaced: (view.getUint8(at + 8) & 0x40) !== 0,
        indices: file.subarray(start, blocksEnd(start + 1)),
      };
    }
  }
  throw new CxmindError('DATA_INVALID', 'this GIF file has no picture');
}

/**
 * A GIF file of a frame alone: all of it opaque, since a decoder leaves out what colour transparent pixels have, and as
 * large as its screen, since decoders differ in what they put around it.
 */
function fileOf({ area, palette, isInterlaced, indices }: GifFrame): Uint8Array {
  const [width, height] = [area.width, area.height].map((side) => [side & 0xff, side >> 8]);
  const size = [...width!, ...height!];
  const table = 0x80 | 7;
  return Buffer.concat([
    Buffer.from('GIF89a'),
    Uint8Array.of(...size, table, 0, 0),
    palette,
    Uint8Array.of(FRAME, 0, 0, 0, 0, ...size, isInterlaced ? 0x40 : 0),
    indices,
    Uint8Array.of(0, END),
  ]);
}

/** The frame's pixels where they belong on the screen, RGB. */
function onScreen({ screen, area, palette, ground }: GifFrame, rgb: Uint8Array): Uint8Array {
  if (area.width === screen.width && area.height === screen.height) return rgb;
  const colour = palette.subarray(3 * ground, 3 * ground + 3);
  const shown = new Uint8Array(screen.width * screen.height * 3);
  for (let i = 0; i < shown.length; i += 3) shown.set(colour, i);
  const rowBytes = 3 * area.width;
  for (let y = 0; y < area.height; y++) {
    const to = 3 * ((area.top + y) * screen.width + area.left);
    shown.set(rgb.subarray(y * rowBytes, (y + 1) * rowBytes), to);
  }
  return shown;
}
