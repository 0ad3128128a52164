/**
 * Levels of DICOM samples: modality, then view, then brightness (DICOM PS3.3, C.11; PS3.4, N.2), as pydicom's
 * `apply_modality_lut` and `apply_voi_lut` compute them.
 *
 * Each step maps one value to the next, so all of them are one table from stored sample to level.
 */
import { CxmindError } from '../../errors.ts';
import type { DicomWindow } from '../decoded-image.ts';
import type { DicomPicture, LookupTable, Window } from './data-set.ts';

/**
 * Level, 0 to 255, of each stored grey.
 *
 * Brightness is the fraction of the view's range, rounded. Without a view it is the fraction of what the stored bits can
 * express, so pictures of a set stay comparable.
 *
 * @param bits bits of a stored sample, two's complement if the picture is signed
 * @param window linear window that replaces the view of the file
 * @returns `[2^bits]`
 * @throws DATA_INVALID for a window without width
 */
export function greyLevels(
  picture: DicomPicture,
  bits: number,
  window: DicomWindow | null,
): Uint8Array {
  const { isSigned, bitsStored, modality, colours } = picture;
  const lowest = isSigned ? -(2 ** (bitsStored - 1)) : 0;
  const modalityOf = (stored: number): number => {
    if (modality === null) return stored;
    if ('entries' in modality) return entryOf(modality, stored);
    return stored * modality.slope + modality.intercept;
  };
  const ends =
    modality !== null && 'entries' in modality
      ? [0, 2 ** modality.bits - 1]
      : [modalityOf(lowest), modalityOf(lowest + 2 ** bitsStored - 1)];
  const view = window === null ? picture.view : linear(window);
  const brightness =
    view === null ? rangeOf(Math.min(...ends), Math.max(...ends)) : brightnessIn(view);
  const isInverted = colours === 'MONOCHROME1';
  return Uint8Array.from({ length: 2 ** bits }, (_, pattern) => {
    const stored = isSigned && pattern >= 2 ** (bits - 1) ? pattern - 2 ** bits : pattern;
    const level = levelOf(brightness(modalityOf(stored)));
    return isInverted ? 255 - level : level;
  });
}

/** Level of each sample of a colour with this many bits. @returns `[2^bits]` */
export function colourLevels(bits: number): Uint8Array {
  const most = 2 ** bits - 1;
  return Uint8Array.from({ length: 2 ** bits }, (_, sample) => levelOf(sample / most));
}

/** Levels of each stored index in one colour of a palette. @returns `[2^bits]` */
export function paletteLevels(table: LookupTable, bits: number, isSigned: boolean): Uint8Array {
  const levels = colourLevels(table.bits);
  return Uint8Array.from({ length: 2 ** bits }, (_, pattern) => {
    const index = isSigned && pattern >= 2 ** (bits - 1) ? pattern - 2 ** bits : pattern;
    return levels[entryOf(table, index)]!;
  });
}

/** Entry of a value; the first or the last one of a value beside the table. */
function entryOf({ first, entries }: LookupTable, value: number): number {
  const index = Math.trunc(value - first);
  return entries[Math.max(0, Math.min(entries.length - 1, index))]!;
}

/** Rounded level of a brightness; brightness beside [0, 1] is clipped. */
function levelOf(brightness: number): number {
  return Math.floor(255 * Math.max(0, Math.min(1, brightness)) + 0.5);
}

function linear([center, width]: DicomWindow): Window {
  return { center, width, shape: 'LINEAR' };
}

function rangeOf(low: number, high: number): (value: number) => number {
  return (value) => (value - low) / (high - low);
}

/** Brightness that a table or a window gives to a value of the modality. */
function brightnessIn(view: LookupTable | Window): (value: number) => number {
  if ('entries' in view) {
    const most = 2 ** view.bits - 1;
    return (value) => entryOf(view, value) / most;
  }
  const { center, width, shape } = view;
  const least = shape === 'LINEAR' ? 1 : 0;
  if (width < 1 && (shape === 'LINEAR' || width <= 0)) {
    throw new CxmindError(
      'DATA_INVALID',
      `its window has the width ${width}; data.window takes its place`,
    );
  }
  if (shape === 'SIGMOID') return (value) => 1 / (1 + Math.exp((-4 * (value - center)) / width));
  // A linear window of the width w has w levels, so that it is w - 1 from its first to its last.
  const [middle, span] = [center - least / 2, width - least];
  return (value) => {
    if (value <= middle - span / 2) return 0;
    return value > middle + span / 2 ? 1 : (value - middle) / span + 0.5;
  };
}
