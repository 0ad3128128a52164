import { decodeImage, imageHeader, type ImageSource } from '../vision/decode.ts';
import type { BitDepth, WideSamples } from '../vision/sample-depth.ts';
import { isDataInvalid } from './invalid-rows.ts';

/** A picture, and what warnings call it. */
export interface NamedPicture {
  readonly name: string;
  readonly source: ImageSource;
}

/** Pictures of a data set that are looked at. */
const LOOKED_AT = 32;
/** 16-bit pictures of which no more is used come out nearly black. */
const DARK: BitDepth = 12;

/**
 * How many of their bits 16-bit pictures use: one number for all of a data set, so that pictures stay comparable.
 *
 * Where it is not given, `settle` finds it from the data set's files alone, hence the same one after a resume; without
 * that the first 16-bit picture that is read decides. What does not fit is warned of once.
 */
export class BitDepthChoice {
  readonly #warn: (message: string) => void;
  /** Null until it is known. */
  #depth: BitDepth | null;
  /** Whether no picture spoke for the depth. */
  #isGuess = false;
  #hasWarned = false;

  /** @param warn takes one line about a picture */
  constructor(given: BitDepth | 'auto', warn: (message: string) => void) {
    this.#depth = given === 'auto' ? null : given;
    this.#warn = warn;
  }

  /**
   * Looks at pictures, evenly spaced, unless the depth is known: it becomes the most that a 16-bit one of these uses,
   * 16 where there are none. Only the headers of other pictures are read, and what is broken is passed over.
   */
  async settle(count: number, pictureAt: (place: number) => Promise<NamedPicture>): Promise<void> {
    if (this.#depth !== null) return;
    let most: BitDepth = 8;
    let example: string | null = null;
    const looks = Math.min(count, LOOKED_AT);
    for (let look = 0; look < looks && most < 16; look++) {
      const { name, source } = await pictureAt(Math.floor((look * count) / looks));
      const used = await usedBits(source);
      if (used === null) continue;
      example ??= name;
      if (used > most) most = used;
    }
    if (example !== null) this.#decide(most, example);
    else [this.#depth, this.#isGuess] = [16, true];
  }

  /** Reads a picture by the depth that is known, or becomes known by it. */
  async read<T extends { readonly wide: WideSamples | null }>(
    name: string,
    read: (depth: BitDepth) => Promise<T>,
  ): Promise<T> {
    const before = this.#depth ?? 16;
    const pixels = await read(before);
    const { wide: used } = pixels;
    if (used === null) return pixels;
    if (used === 32) {
      this.#warnOnce(`${name}: its 32-bit samples are clipped to 0 … 255, as Pillow clips them`);
      return pixels;
    }
    if (this.#depth === null) this.#decide(used, name);
    const depth = this.#depth ?? used;
    const takes = `${name}: its 16-bit samples take ${used} bits`;
    if (used > depth) {
      this.#warnOnce(
        `${takes}, all such pictures are read as ${depth}: set data.bit_depth=${used}`,
      );
    } else if (this.#isGuess && used <= DARK) {
      this.#warnOnce(`${takes}, read as 16 it is nearly black: set data.bit_depth=${used}`);
    }
    return depth === before ? pixels : read(depth);
  }

  #decide(depth: BitDepth, example: string): void {
    this.#depth = depth;
    if (depth === 16) return;
    const all = `all such pictures are read as ${depth}, as if data.bit_depth=${depth} were set`;
    this.#warn(`${example}: its 16-bit samples take no more than ${depth} bits; ${all}`);
  }

  #warnOnce(message: string): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    this.#warn(message);
  }
}

/** The bits that a 16-bit picture uses; null for every other one. */
async function usedBits(source: ImageSource): Promise<BitDepth | null> {
  try {
    if ((await imageHeader(source)).sampleBits !== 16) return null;
    const { wide } = await decodeImage(source);
    return wide === 32 ? null : wide;
  } catch (error) {
    if (isDataInvalid(error)) return null;
    throw error;
  }
}
