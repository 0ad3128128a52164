/**
 * First frames of GIF files, as Pillow opens them.
 *
 * The frame is decoded by sharp from a GIF file that holds nothing else: sharp drops the colours of transparent pixels,
 * and decoders differ in the screen around a frame.
 *
 * @see GIF89a specification; Pillow, GifImagePlugin.py
 */
import { CxmindError } from '../errors.ts';
import { SAMPLES, type ImageSize, type OpenedImage } from './decoded-image.ts';
import { firstSamples } from './modes.ts';
import { openBySharp } from './sharp-image.ts';

/** Rectangle on a screen, in pixels. */
interface Area extends ImageSize {
  readonly left: number;
  readonly top: number;
}

/** First frame of a GIF file. */
interface GifFrame {
  /** Size of the whole picture, which contains the frame. */
  readonly screen: ImageSize;
  /** Place of the frame on the screen. */
  readonly area: Area;
  /** `[256, 3]`, RGB. An index without a colour is black, as in Pillow. */
  readonly palette: Uint8Array;
  /** Set if index i has the grey level i, so that Pillow opens the picture as grey. */
  readonly isGrey: boolean;
  /** Palette index of the screen outside the frame. */
  readonly ground: number;
  readonly isInterlaced: boolean;
  /** Compressed indices: their code size and their blocks, without the empty block that ends them. */
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
 * Opens the first frame of a GIF file. A transparent pixel gets the colour of its index, as in Pillow.
 *
 * @throws DATA_INVALID if there is no frame, RangeError if the file is cut short
 */
export function openGif(file: Uint8Array): OpenedImage {
  const frame = firstFrame(file);
  const { width, height } = frame.screen;
  return {
    width,
    height,
    sampleBits: 8,
    async decode(choice) {
      const opened = await openBySharp(fileOf(frame), 'GIF');
      const rgb = onScreen(frame, (await opened.decode(choice)).data);
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
  /** Colour table at `start`; null if the flags say that there is none. */
  const tableAt = (flagsAt: number, start: number): Uint8Array | null => {
    const flags = view.getUint8(flagsAt);
    return (flags & 0x80) === 0 ? null : file.subarray(start, start + 3 * 2 ** ((flags & 7) + 1));
  };
  /** Offset of the empty block that ends the blocks from `start` on, or of the file's end. */
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

/** GIF file of a frame alone: opaque, and without a screen around it. */
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

/** RGB of the whole screen, the frame's pixels in their place. */
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
