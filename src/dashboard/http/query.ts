/** Parameters of a request's URL, each checked when it is read. */
import { refusal } from '../../serving/refusal.ts';

export class Query {
  readonly #given: URLSearchParams;

  constructor(url: string) {
    this.#given = new URLSearchParams(url.split('?')[1] ?? '');
  }

  texts(name: string): string[] {
    return this.#given.getAll(name);
  }

  /** @throws DATA_INVALID, a refusal with status 400, where it is missing */
  text(name: string): string {
    const value = this.#given.get(name);
    if (value === null) throw refusal(400, `${name}: expected a value`, { param: name });
    return value;
  }

  /** An integer of at least 0; undefined where it is missing. @throws as `text` for anything else */
  whole(name: string): number | undefined {
    const value = this.#given.get(name);
    if (value === null) return undefined;
    if (/^\d{1,15}$/.test(value)) return Number(value);
    throw refusal(400, `${name}: expected an integer of at least 0, got ${value.slice(0, 50)}`, {
      param: name,
    });
  }

  /** An integer as `whole` reads it, `usual` where it is missing, and at most `most`. */
  count(name: string, usual: number, most: number): number {
    return Math.min(most, this.whole(name) ?? usual);
  }

  /** One of some words, `usual` where it is missing. @throws as `text` for anything else */
  oneOf<T extends string>(name: string, words: readonly T[], usual: T): T {
    const value = this.#given.get(name) ?? usual;
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    throw refusal(400, `${name}: expected one of ${words.join(', ')}, got ${value.slice(0, 50)}`, {
      param: name,
    });
  }
}
