import { decodeImage, imageHeader, type ImageSource } from '../vision/decode.ts';
import type { BitDepth, WideSamples } from '../vision/sample-depth.ts';
import { isDataInvalid } from './invalid-rows.ts';

/** Picture and its name in warnings. */
export interface NamedPicture {
  readonly name: string;
  readonly source: ImageSource;
}

/** Most pictures of a data set that `settle` looks at. */
const LOOKED_AT = 32;
/** Most used bits of a picture that comes out nearly black when it is read as 16 bits. */
const DARK: BitDepth = 12;

/**
 * Number of used bits in the 16-bit pictures of a data set. It is one number, so that pictures stay comparable.
 *
 * A depth that is not given is found by `settle` from the data set's files alone, so a resumed run finds the same
 * one. Without `settle` the first 16-bit picture that is read decides. The first picture that does not fit is warned
 * of.
 */
export class BitDepthChoice {
  readonly #warn: (message: string) => void;
  /** Depth of the data set; null until it is known. */
  #depth: BitDepth | null;
  /** Set if no 16-bit picture was found, so that the depth is a guess. */
  #isGuess = false;
  #hasWarned = false;

  /** @param warn receives one line about a picture */
  constructor(given: BitDepth | 'auto', warn: (message: string) => void) {
    this.#depth = given === 'auto' ? null : given;
    this.#warn = warn;
  }

  /** The depth by which pictures are read, 16 until it is known. */
  get depth(): BitDepth {
    return this.#depth ?? 16;
  }

  /**
   * Finds the depth, unless it is known, from evenly spaced pictures: the most bits that a 16-bit one of them uses, or
   * 16 if there is none. Of other pictures only the headers are read. Broken pictures are skipped.
   *
   * @param pictureAt is called with rising places
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

  /** Reads a picture by the known depth. If none is known, the picture decides it. */
  async read<T extends { readonly wide: WideSamples | null }>(
    name: string,
    read: (depth: BitDepth) => Promise<T>,
  ): Promise<T> {
    const before = this.depth;
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

/** Used bits of a 16-bit picture; null for every other picture. */
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
