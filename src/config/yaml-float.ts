/**
 * A float that happens to be whole, such as `4.0` or `1e3`, before its key's type is known.
 *
 * JavaScript cannot tell 4.0 from 4, but an integer key takes only the second, and a string key keeps the
 * text as it was written.
 */
export class YamlFloat {
  readonly source: string;
  readonly value: number;

  constructor(source: string) {
    this.source = source;
    this.value = Number(source);
  }

  toJSON(): number {
    return this.value;
  }

  toString(): string {
    return this.source;
  }
}
