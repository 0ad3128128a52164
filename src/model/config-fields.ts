/** Scalars of a `config.json`, its paths, and the collector of what is wrong with it. */
import * as t from 'io-ts';
import { CxmindError } from '../errors.ts';
import { wholeFrom } from '../check/scalars.ts';

// The bounds are far above any existing model. A config with more is damaged, and is refused by the field's name before
// anything is allocated by its sizes.

/** Codec of a number of layers. */
export const layers = wholeFrom(1, 2 ** 10);
/** Codec of a width, a number of heads, and the like. */
export const size = wholeFrom(1, 2 ** 20);
/** Codec of the size of a vocabulary. */
export const vocabulary = wholeFrom(1, 2 ** 24);
/** Codec of an index, such as the id of a token. */
export const index = wholeFrom(0);

/** A field that may be null. */
export const nullable = <C extends t.Mixed>(codec: C): t.UnionC<[C, t.NullC]> =>
  t.union([codec, t.null]);

/** Collects the issues of a config, to throw them all at once. */
export class Checks {
  readonly #file: string;
  readonly #issues: string[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  that(holds: boolean, issue: string): void {
    if (!holds) this.#issues.push(issue);
  }

  /** @throws CHECKPOINT_INVALID naming the file and every issue */
  finish(): void {
    if (this.#issues.length === 0) return;
    throw new CxmindError('CHECKPOINT_INVALID', `${this.#file}: ${this.#issues.join('; ')}`, {
      detail: { file: this.#file, issues: this.#issues },
    });
  }
}

/** Paths of keys in a section of a config. */
export const under = (section: string, keys: readonly string[]): string[] =>
  keys.map((key) => `${section}.${key}`);

/** Names of the fields of a codec of mappings. */
export function propsOf(codec: t.Mixed): string[] {
  if (codec instanceof t.IntersectionType) return (codec.types as t.Mixed[]).flatMap(propsOf);
  if (codec instanceof t.InterfaceType || codec instanceof t.PartialType) {
    return Object.keys(codec.props as t.Props);
  }
  return [];
}
