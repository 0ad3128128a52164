import { CxmindError } from '../../errors.ts';
import { loadForGood, type NativeFunction } from '../../native.ts';

/** A function that gives CUDA's code of an error, 0 for none. */
export type Code<Args extends readonly unknown[]> = NativeFunction<(...args: Args) => number>;

/** Memory for what a C function writes: one value of 8 bytes for each. */
export type Out = BigUint64Array;

export type Library = ReturnType<typeof loadForGood>;

/** A function of a library that takes what is said and gives a code. */
export function define<Args extends readonly unknown[]>(
  library: Library,
  name: string,
  takes: readonly string[],
): Code<Args> {
  return library.func(name, 'int', [...takes]) as Code<Args>;
}

/**
 * The first library of some names that the system finds.
 *
 * @param what how its absence calls it, as in "CUDA's runtime library"
 * @throws DEVICE_MISSING with the way out
 */
export function openLibrary(what: string, names: readonly string[], wayOut: string): Library {
  for (const name of names) {
    try {
      return loadForGood(name);
    } catch {
      // the next name
    }
  }
  throw new CxmindError(
    'DEVICE_MISSING',
    `device cuda: ${what} was not found (${names.join(', ')}); ${wayOut}`,
  );
}
