/** The libraries of CUDA: their lookup and the declaration of their functions. */
import { CxmindError } from '../../errors.ts';
import { loadForGood, type NativeFunction } from '../../native.ts';

/** A function that returns CUDA's error code, or 0. */
export type Code<Args extends readonly unknown[]> = NativeFunction<(...args: Args) => number>;

/** Memory for results that a C function writes, 8 bytes each. */
export type Out = BigUint64Array;

/** A loaded library. */
export type Library = ReturnType<typeof loadForGood>;

/** Declares a function of a library that returns an error code. */
export function define<Args extends readonly unknown[]>(
  library: Library,
  name: string,
  takes: readonly string[],
): Code<Args> {
  return library.func(name, 'int', [...takes]) as Code<Args>;
}

/**
 * Loads the first library that the system finds among some names.
 *
 * @param what   its name in the error, such as "CUDA's runtime library"
 * @param wayOut advice in the error
 * @throws DEVICE_MISSING
 */
export function openLibrary(what: string, names: readonly string[], wayOut: string): Library {
  for (const name of names) {
    try {
      return loadForGood(name);
    } catch {
      // Try the next name.
    }
  }
  throw new CxmindError(
    'DEVICE_MISSING',
    `device cuda: ${what} was not found (${names.join(', ')}); ${wayOut}`,
  );
}
