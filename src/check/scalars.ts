/**
 * Codecs of single values.
 *
 * Those of YAML (`int`, `finite`, `bool`, `text`, …) also take text that reads as the value, since an item of the
 * command line and a variable of the environment are text. Those of files and messages (`whole`, `positive`, …) take
 * the value alone.
 */
import * as t from 'io-ts';
import { attempt } from '../errors.ts';

/**
 * A YAML float that happens to be whole, such as `4.0` or `1e3`, before the type of its key is known.
 *
 * JavaScript cannot tell 4.0 from 4, but an integer key takes only the second, and a string key keeps the text.
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

/** A codec of the values that pass a test, under a name for errors. */
export function guarded<A>(name: string, guard: t.Is<A>): t.Type<A> {
  return scalar(name, guard, (input) => input as A);
}

function scalar<A>(name: string, is: t.Is<A>, read: (input: unknown) => A | undefined): t.Type<A> {
  return new t.Type<A>(
    name,
    is,
    (input, context) => {
      const value = read(input);
      return is(value) ? t.success(value) : t.failure(input, context);
    },
    t.identity,
  );
}

/** An integer, given as a number. */
export const whole = guarded('an integer', (value): value is number => Number.isInteger(value));

/** A whole number of at least `low`, and of at most `high` where that is given. */
export function wholeFrom(low: number, high = Infinity): t.Type<number> {
  return guarded(
    high === Infinity ? `a whole number >= ${low}` : `a whole number from ${low} to ${high}`,
    (value): value is number =>
      Number.isSafeInteger(value) && Number(value) >= low && Number(value) <= high,
  );
}

/** A finite number above 0. */
export const positive = guarded(
  'a number > 0',
  (value): value is number => Number.isFinite(value) && Number(value) > 0,
);

/** The bytes of a file or a message. */
export const bytes = guarded('bytes', (value): value is Uint8Array => value instanceof Uint8Array);

const integerText = /^[+-]?\d+(_\d+)*$/;
const numberText = /^[+-]?(\d+(_\d+)*\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function readInteger(input: unknown): number | undefined {
  if (typeof input === 'number') return input;
  if (typeof input !== 'string' || !integerText.test(input.trim())) return undefined;
  return Number(input.trim().replaceAll('_', ''));
}

function readNumber(input: unknown): number | undefined {
  if (typeof input === 'number') return input;
  if (input instanceof YamlFloat) return input.value;
  if (typeof input !== 'string' || !numberText.test(input.trim())) return undefined;
  return Number(input.trim().replaceAll('_', ''));
}

function integer(name: string, holds: (value: number) => boolean): t.Type<number> {
  return scalar(
    name,
    (value): value is number => Number.isSafeInteger(value) && holds(value as number),
    readInteger,
  );
}

/** A safe integer, also as integer-looking text; `4.0` is a float and not taken. */
export const int = integer('an integer', () => true);

/** An integer of 1 or more. */
export const positiveInt = integer('an integer >= 1', (value) => value >= 1);

/** An integer of `low` or more. */
export function intFrom(low: number): t.Type<number> {
  return integer(`an integer >= ${low}`, (value) => value >= low);
}

/** A finite number with a property that `name` says in words. */
export function number(name: string, holds: (value: number) => boolean): t.Type<number> {
  return scalar(
    name,
    (value): value is number => Number.isFinite(value) && holds(value as number),
    readNumber,
  );
}

/** A number that is neither NaN nor infinite, also as numeric text. */
export const finite = number('a finite number', () => true);

/** A finite number of `low` or more. */
export function atLeast(low: number): t.Type<number> {
  return number(`number >= ${low}`, (value) => value >= low);
}

/** A finite number above `low`. */
export function above(low: number): t.Type<number> {
  return number(`number > ${low}`, (value) => value > low);
}

/** A number from `low` to `high`, both included. */
export function between(low: number, high: number): t.Type<number> {
  return number(`number in [${low}, ${high}]`, (value) => value >= low && value <= high);
}

const words: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  '1': true,
  false: false,
  no: false,
  off: false,
  '0': false,
};

/** A boolean, also as yes, no, on, off, 1 or 0 in any case. */
export const bool = scalar(
  'true or false',
  (value): value is boolean => typeof value === 'boolean',
  (input) => {
    if (typeof input === 'boolean') return input;
    return typeof input === 'string' || typeof input === 'number'
      ? words[String(input).toLowerCase()]
      : undefined;
  },
);

function readText(input: unknown): string | undefined {
  if (typeof input === 'string') return input;
  if (input instanceof YamlFloat) return input.source;
  return typeof input === 'number' || typeof input === 'boolean' ? String(input) : undefined;
}

/** A string; other scalars are taken by their text. */
export const text = scalar(
  'a string',
  (value): value is string => typeof value === 'string',
  readText,
);

/** A string of a form that `name` says in words. */
export function matching(name: string, form: RegExp): t.Type<string> {
  return guarded(name, (value): value is string => typeof value === 'string' && form.test(value));
}

/** Text that is a regular expression. */
export const pattern = scalar(
  'a regular expression',
  (value): value is string =>
    typeof value === 'string' && attempt(() => new RegExp(value)) !== null,
  readText,
);

/** One of a fixed set of words or numbers. */
export class OneOfType<S extends string | number> extends t.Type<S> {
  readonly values: readonly S[];

  constructor(values: readonly S[]) {
    const is = (value: unknown): value is S => (values as readonly unknown[]).includes(value);
    super(
      `one of ${values.join(', ')}`,
      is,
      (input, context) => {
        const value = is(input) ? input : readInteger(input);
        return is(value) ? t.success(value) : t.failure(input, context);
      },
      t.identity,
    );
    this.values = values;
  }
}

/** One of the given words or numbers; an error names the nearest word. */
export function oneOf<const S extends readonly (string | number)[]>(
  ...values: S
): OneOfType<S[number]> {
  return new OneOfType(values);
}

/** One of the names that a table has an entry for. */
export function keyOf<K extends string>(table: Readonly<Record<K, unknown>>): OneOfType<K> {
  return new OneOfType(Object.keys(table) as K[]);
}
