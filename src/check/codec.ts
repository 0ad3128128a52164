/**
 * Codecs of mappings and lists, and the walk through the keys of a schema that is made of them.
 *
 * io-ts's own mappings drop a key that they do not know, and none of its codecs has a default or a description.
 */
import * as t from 'io-ts';
import { isRight, left } from 'fp-ts/lib/Either.js';
import { guarded, YamlFloat } from './scalars.ts';

/** A mapping as plain data. */
type Mapping = Readonly<Record<string, unknown>>;

/** The YAML spelling of a TypeScript field: `klCoef` is `kl_coef`, `nGpusPerNode` is `n_gpus_per_node`. */
export function snakeCase(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The value as a mapping; undefined where it is none. */
export function asMapping(value: unknown): Mapping | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return value instanceof YamlFloat ? undefined : (value as Mapping);
}

/**
 * A tree with its values replaced, outer values before inner ones. What is undefined in a mapping is left out.
 *
 * @param keys those that lead to the tree
 * @param replace returns a value as it is where those inside it are to be replaced
 */
export function replaced(
  value: unknown,
  keys: readonly string[],
  replace: (value: unknown, keys: readonly string[]) => unknown,
): unknown {
  const other = replace(value, keys);
  if (other !== value) return other;
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) => replaced(item, [...keys, String(index)], replace));
  }
  const mapping = asMapping(value);
  if (mapping === undefined) return value;
  const entries = Object.entries(mapping).map(([key, inner]): [string, unknown] => [
    key,
    replaced(inner, [...keys, key], replace),
  ]);
  return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined));
}

/** The value at a dotted path of a tree of mappings; undefined where there is none. */
export function valueAt(tree: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => {
    const mapping = asMapping(value);
    return mapping !== undefined && Object.hasOwn(mapping, key) ? mapping[key] : undefined;
  }, tree);
}

type Fields<P extends t.Props> = { readonly [K in keyof P]: t.TypeOf<P[K]> };

/** A mapping whose keys are exactly the snake_case twins of its TypeScript fields. */
export class ClosedType<P extends t.Props> extends t.Type<Fields<P>, Record<string, unknown>> {
  readonly props: P;

  constructor(props: P) {
    const fields = Object.entries(props).map(([field, codec]) => ({
      key: snakeCase(field),
      field,
      codec,
    }));
    super(
      'a mapping',
      (value): value is Fields<P> => {
        const mapping = asMapping(value);
        return (
          mapping !== undefined && fields.every(({ field, codec }) => codec.is(mapping[field]))
        );
      },
      (value, context) => {
        const mapping = asMapping(value);
        if (mapping === undefined) return t.failure(value, context);
        const errors: t.ValidationError[] = [];
        const decoded: Record<string, unknown> = {};
        for (const { key, field, codec } of fields) {
          const input = mapping[key];
          const result = codec.validate(input, t.appendContext(context, key, codec, input));
          if (isRight(result)) decoded[field] = result.right;
          else errors.push(...result.left);
        }
        for (const [key, input] of Object.entries(mapping)) {
          if (fields.some((known) => known.key === key)) continue;
          errors.push({ value: input, context: t.appendContext(context, key, unknownKey, input) });
        }
        return errors.length > 0 ? left(errors) : t.success(decoded as Fields<P>);
      },
      (value) =>
        Object.fromEntries(
          fields.map(({ key, field, codec }) => [key, codec.encode(value[field]) as unknown]),
        ),
    );
    this.props = props;
  }
}

/** Codec in the context of an error about a key that no field has. */
const unknownKey = guarded('a known key', (_value): _value is never => false);

/** Tells whether an error says that its last key is not part of the schema. */
export function isUnknownKey(error: t.ValidationError): boolean {
  return error.context.at(-1)?.type === unknownKey;
}

/** A mapping that takes these fields and no other; a misspelt key is an error. */
export function closed<P extends t.Props>(props: P): ClosedType<P> {
  return new ClosedType(props);
}

/** A codec around another one, of which a schema's walk can see the inner one. */
class WrappedType<A, O> extends t.Type<A, O> {
  readonly inner: t.Mixed;
  /** Purpose of the key, in a sentence; null where the wrapping is about something else. */
  readonly description: string | null;

  /** @param own parts that differ from those of the inner codec */
  constructor(
    inner: t.Mixed,
    own: Partial<Pick<t.Type<A, O>, 'name' | 'is' | 'validate' | 'encode'>> & {
      readonly description?: string;
    },
  ) {
    super(
      own.name ?? inner.name,
      own.is ?? ((input): input is A => inner.is(input)),
      own.validate ?? ((input, context) => inner.validate(input, context) as t.Validation<A>),
      own.encode ?? ((output) => inner.encode(output) as O),
    );
    this.inner = inner;
    this.description = own.description ?? null;
  }
}

/** `codec`, reading an absent key as `value`, which is written as it would stand in YAML. */
export function withDefault<A, O>(codec: t.Type<A, O>, value: O): t.Type<A, O> {
  return new WrappedType(codec, {
    validate: (input, context) => codec.validate(input === undefined ? value : input, context),
  });
}

/** `codec`, with a sentence that says what the key is for. */
export function about<A, O>(description: string, codec: t.Type<A, O>): t.Type<A, O> {
  return new WrappedType(codec, { description });
}

/** `codec`, whose values are written by `encode`. */
export function writtenBy<A, O>(codec: t.Type<A, O>, encode: (output: A) => O): t.Type<A, O> {
  return new WrappedType(codec, { encode });
}

/** `codec` or null; an absent key reads as null. */
export function orNull<A, O>(codec: t.Type<A, O>): t.Type<A | null, O | null> {
  return new WrappedType<A | null, O | null>(codec, {
    name: `${codec.name} or null`,
    is: (input): input is A | null => input === null || codec.is(input),
    validate: (input, context) =>
      input === null || input === undefined ? t.success(null) : codec.validate(input, context),
    encode: (output) => (output === null ? null : codec.encode(output)),
  });
}

/** The codec without the wrappers around it. */
export function unwrapped(codec: t.Mixed): t.Mixed {
  return codec instanceof WrappedType ? unwrapped(codec.inner) : codec;
}

/** A closed mapping that may be left out as a whole when all its fields have defaults. */
export function section<P extends t.Props>(props: P): t.Type<Fields<P>, Mapping> {
  return withDefault<Fields<P>, Mapping>(closed(props), {});
}

/** A list of `item`. */
export function listOf<C extends t.Mixed>(
  item: C,
): t.Type<readonly t.TypeOf<C>[], readonly t.OutputOf<C>[]> {
  return t.readonlyArray(item, 'a list');
}

/** A mapping of keys of the user's own choosing to `item`. */
export function recordOf<A, O>(
  item: t.Type<A, O>,
  name: string,
): t.Type<Readonly<Record<string, A>>, Readonly<Record<string, O>>> {
  return t.record(t.string, item, name);
}

/** A list of `item`; a text alone stands for a list of it. */
export function oneOrMore<C extends t.Mixed>(
  item: C,
): t.Type<readonly t.TypeOf<C>[], readonly t.OutputOf<C>[]> {
  const list = listOf(item);
  return new t.Type(
    list.name,
    list.is,
    (input, context) => list.validate(typeof input === 'string' ? [input] : input, context),
    list.encode,
  );
}

/** `item` or a list of it, kept as it was given. */
export function oneOrList<A>(item: t.Type<A, A>): t.Type<A | readonly A[], A | readonly A[]> {
  const list = listOf(item);
  return new t.Type<A | readonly A[], A | readonly A[]>(
    `${item.name} or a list of them`,
    (value): value is A | readonly A[] => item.is(value) || list.is(value),
    (input, context) =>
      Array.isArray(input) ? list.validate(input, context) : item.validate(input, context),
    t.identity,
  );
}

/** A list of exactly two of `item`, with a property that `name` says in words. */
export function pairOf<A>(
  item: t.Type<A, A>,
  name: string,
  holds: (pair: readonly [A, A]) => boolean = () => true,
): t.Type<readonly [A, A], readonly [A, A]> {
  const items = t.readonlyArray(item);
  const isPair = (value: unknown): value is readonly [A, A] =>
    items.is(value) && value.length === 2 && holds(value as unknown as readonly [A, A]);
  return new t.Type<readonly [A, A], readonly [A, A]>(
    name,
    isPair,
    (input, context) => {
      const decoded = items.decode(input);
      return isRight(decoded) && isPair(decoded.right)
        ? t.success(decoded.right)
        : t.failure(input, context);
    },
    t.identity,
  );
}

/** A mapping with keys of the user's own choosing; its values are plain JSON. */
export const freeForm: t.Type<Mapping> = new t.Type(
  'a mapping',
  (value): value is Mapping => asMapping(value) !== undefined,
  (input, context) => {
    const mapping = asMapping(input);
    return mapping === undefined
      ? t.failure(input, context)
      : t.success(plainJson(mapping) as Mapping);
  },
  t.identity,
);

function plainJson(value: unknown): unknown {
  if (value instanceof YamlFloat) return value.value;
  if (Array.isArray(value)) return value.map(plainJson);
  const mapping = asMapping(value);
  if (mapping === undefined) return value;
  return Object.fromEntries(Object.entries(mapping).map(([key, entry]) => [key, plainJson(entry)]));
}

/** Key of a schema, or a section of keys. */
export interface SchemaKey {
  /** Dotted path in YAML spelling. */
  readonly path: string;
  /** Purpose of the key, in a sentence. */
  readonly description: string;
  readonly codec: t.Mixed;
  readonly isSection: boolean;
}

/** Every key that a schema takes, a section before the keys in it. */
export function schemaKeys(codec: t.Mixed, prefix = ''): SchemaKey[] {
  const bare = unwrapped(codec);
  if (!(bare instanceof ClosedType)) return [];
  return Object.entries(bare.props as t.Props).flatMap(([field, inner]): SchemaKey[] => {
    const path = prefix + snakeCase(field);
    const description = descriptionOf(inner) ?? '';
    const element = elementOf(inner);
    const inside =
      element === null ? schemaKeys(inner, `${path}.`) : schemaKeys(element, `${path}[].`);
    const isSection = element === null && inside.length > 0;
    return [{ path, description, codec: inner, isSection }, ...inside];
  });
}

function elementOf(codec: t.Mixed): t.Mixed | null {
  const bare = unwrapped(codec);
  return bare instanceof t.ReadonlyArrayType ? (bare.type as t.Mixed) : null;
}

function descriptionOf(codec: t.Mixed): string | null {
  if (!(codec instanceof WrappedType)) return null;
  return codec.description ?? descriptionOf(codec.inner);
}

/** The paths of `schemaKeys`. */
export function keyPaths(codec: t.Mixed): string[] {
  return schemaKeys(codec).map(({ path }) => path);
}
