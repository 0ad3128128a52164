/**
 * JSON schemas as patterns of the JSON text of their values.
 *
 * The subset is that of OpenAI's structured outputs, less recursion, which no finite automaton tells, and bounds of
 * numbers. Properties come in the schema's order, without any that it does not name. A space may follow a comma or a
 * colon. Numbers have at most 15 digits before and after the point. A keyword that is not known is refused.
 *
 * @see https://json-schema.org/draft/2020-12; Willard and Louf, arXiv:2307.09702, section 4
 */
import * as t from 'io-ts';
import { wholeFrom } from '../../check/scalars.ts';
import { CxmindError } from '../../errors.ts';
import {
  allBut,
  choice,
  literal,
  optional,
  repeat,
  sequence,
  set,
  without,
  type Pattern,
} from './pattern.ts';
import { regexPattern } from './regex.ts';

type Schema = Readonly<Record<string, unknown>>;

/** Keywords that say nothing of the value's form. */
const remarks = [
  ...['title', 'description', 'default', 'examples', '$schema', '$id', '$comment'],
  ...['$defs', 'definitions'],
];
/** Most schemas inside one another, and most of all. A reference that leads back to itself gets there. */
const MOST_DEPTH = 32;
const MOST_SCHEMAS = 2000;

const digit = set([0x30, 0x39]);
const space = optional(literal(' '));
const integer = sequence(
  optional(literal('-')),
  choice(literal('0'), sequence(set([0x31, 0x39]), repeat(digit, 0, 14))),
);
const exponent = sequence(
  choice(literal('e'), literal('E')),
  optional(choice(literal('+'), literal('-'))),
  repeat(digit, 1, 2),
);
const numeral = sequence(
  integer,
  optional(sequence(literal('.'), repeat(digit, 1, 15))),
  optional(exponent),
);
/** Types that have no other keywords. */
const simpleTypes: ReadonlyMap<unknown, Pattern> = new Map([
  ['integer', integer],
  ['number', numeral],
  ['boolean', choice(literal('true'), literal('false'))],
  ['null', literal('null')],
]);
const hexDigit = set([0x30, 0x39], [0x41, 0x46], [0x61, 0x66]);
const escape = sequence(
  literal('\\'),
  choice(...Array.from('"\\/bfnrt', literal), sequence(literal('u'), repeat(hexDigit, 4, 4))),
);
/** Characters of a string that JSON writes in another way. */
const special = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
] as const;
const letter = choice(set(...allBut(special)), escape);
const quote = literal('"');

/** A reader of a schema and the definitions that it refers to. */
class SchemaReader {
  readonly #root: Schema;
  #depth = 0;
  #count = 0;

  constructor(root: Schema) {
    this.#root = root;
  }

  /** @param path keys that lead to the schema, for errors */
  read(schema: unknown, path: string): Pattern {
    if (!t.UnknownRecord.is(schema)) throw invalid(path, 'expected a mapping');
    if (++this.#depth > MOST_DEPTH || ++this.#count > MOST_SCHEMAS) {
      throw invalid(path, 'too many schemas, or one inside itself');
    }
    const pattern = this.#form(schema, path);
    this.#depth--;
    return pattern;
  }

  #form(schema: Schema, path: string): Pattern {
    const { $ref: reference, enum: values, const: value, anyOf, oneOf, type } = schema;
    if (reference !== undefined) {
      refuseOthers(schema, path, ['$ref']);
      return this.read(this.#resolve(reference, path), path);
    }
    if (values !== undefined || value !== undefined) {
      refuseOthers(schema, path, ['enum', 'const', 'type']);
      const list = values ?? [value];
      if (!Array.isArray(list) || list.length === 0)
        throw invalid(`${path}.enum`, 'expected values');
      return choice(...list.map((each) => literal(JSON.stringify(each))));
    }
    const options = anyOf ?? oneOf;
    if (options !== undefined) {
      refuseOthers(schema, path, ['anyOf', 'oneOf']);
      if (!Array.isArray(options) || options.length === 0) throw invalid(path, 'expected schemas');
      return choice(...options.map((each, i) => this.read(each, `${path}.anyOf[${i}]`)));
    }
    if (Array.isArray(type)) {
      return choice(...type.map((each) => this.#typed({ ...schema, type: each as unknown }, path)));
    }
    return this.#typed(schema, path);
  }

  #typed(schema: Schema, path: string): Pattern {
    const { type } = schema;
    const simple = simpleTypes.get(type);
    if (simple !== undefined) {
      refuseOthers(schema, path, ['type']);
      return simple;
    }
    switch (type) {
      case 'string':
        return stringPattern(schema, path);
      case 'array':
        return this.#array(schema, path);
      case 'object':
        return this.#object(schema, path);
      default:
        throw invalid(
          `${path}.type`,
          'expected string, integer, number, boolean, null, array or object',
        );
    }
  }

  #array(schema: Schema, path: string): Pattern {
    refuseOthers(schema, path, ['type', 'items', 'minItems', 'maxItems']);
    const { least, most } = boundsOf(schema, path, 'Items');
    const item = this.read(schema['items'], `${path}.items`);
    const next = sequence(literal(','), space, item);
    const filled = sequence(item, repeat(next, Math.max(0, least - 1), most - 1));
    const inner = most === 0 ? sequence() : least === 0 ? optional(filled) : filled;
    return sequence(literal('['), inner, literal(']'));
  }

  #object(schema: Schema, path: string): Pattern {
    refuseOthers(schema, path, ['type', 'properties', 'required', 'additionalProperties']);
    const { properties = {}, required = [], additionalProperties = false } = schema;
    if (additionalProperties !== false) {
      throw invalid(`${path}.additionalProperties`, 'expected false');
    }
    if (!t.UnknownRecord.is(properties)) throw invalid(`${path}.properties`, 'expected a mapping');
    if (!t.array(t.string).is(required)) throw invalid(`${path}.required`, 'expected names');
    const stranger = required.find((name) => !Object.hasOwn(properties, name));
    if (stranger !== undefined) throw invalid(`${path}.required`, `no property ${stranger}`);
    const entries = Object.entries(properties).map(([name, each]) => ({
      isRequired: required.includes(name),
      pattern: sequence(
        literal(`${JSON.stringify(name)}:`),
        space,
        this.read(each, `${path}.properties.${name}`),
      ),
    }));
    return sequence(literal('{'), members(entries), literal('}'));
  }

  #resolve(reference: unknown, path: string): unknown {
    const keys = typeof reference === 'string' ? reference.split('/') : [];
    if (keys.shift() !== '#') throw invalid(`${path}.$ref`, 'expected a place in this schema, #/…');
    let at: unknown = this.#root;
    for (const key of keys) {
      const name = key.replaceAll('~1', '/').replaceAll('~0', '~');
      at = t.UnknownRecord.is(at) && Object.hasOwn(at, name) ? at[name] : undefined;
    }
    if (at === undefined) throw invalid(`${path}.$ref`, `no ${String(reference)}`);
    return at;
  }
}

/** The pattern of a schema's values. @throws DATA_INVALID naming the keyword that is wrong or not supported */
export function jsonSchemaPattern(schema: unknown): Pattern {
  return new SchemaReader(t.UnknownRecord.is(schema) ? schema : {}).read(schema, 'schema');
}

/** Properties in order with commas between them, those that are not required or not. */
function members(
  entries: readonly { readonly isRequired: boolean; readonly pattern: Pattern }[],
): Pattern {
  // From the last on: what may follow a property, and what may stand where no property came yet.
  let [after, first]: [Pattern, Pattern] = [sequence(), sequence()];
  for (const { isRequired, pattern } of entries.toReversed()) {
    const begun = sequence(pattern, after);
    first = isRequired ? begun : choice(begun, first);
    const next = sequence(literal(','), space, pattern);
    after = sequence(isRequired ? next : optional(next), after);
  }
  return first;
}

function stringPattern(schema: Schema, path: string): Pattern {
  refuseOthers(schema, path, ['type', 'minLength', 'maxLength', 'pattern']);
  const { pattern } = schema;
  const { least, most } = boundsOf(schema, path, 'Length');
  if (pattern === undefined) return sequence(quote, repeat(letter, least, most), quote);
  if (typeof pattern !== 'string')
    throw invalid(`${path}.pattern`, 'expected a regular expression');
  refuseOthers(schema, path, ['type', 'pattern']);
  return sequence(quote, quoted(regexPattern(pattern)), quote);
}

/** A pattern of a string's value as JSON writes it. */
function quoted(pattern: Pattern): Pattern {
  switch (pattern.kind) {
    case 'set': {
      const escaped = ['"', '\\'].filter((each) => {
        const code = each.codePointAt(0)!;
        return pattern.ranges.some(([low, high]) => low <= code && code <= high);
      });
      const plain: Pattern = { kind: 'set', ranges: without(pattern.ranges, special) };
      return choice(plain, ...escaped.map((each) => literal(`\\${each}`)));
    }
    case 'sequence':
      return sequence(...pattern.parts.map(quoted));
    case 'choice':
      return choice(...pattern.options.map(quoted));
    case 'repeat':
      return repeat(quoted(pattern.of), pattern.least, pattern.most);
  }
}

function boundsOf(
  schema: Schema,
  path: string,
  what: 'Length' | 'Items',
): { readonly least: number; readonly most: number } {
  const { [`min${what}`]: least = 0, [`max${what}`]: most = Infinity } = schema;
  const isBound = wholeFrom(0).is;
  if (!isBound(least)) throw invalid(`${path}.min${what}`, 'expected a whole number');
  if (most !== Infinity && (!isBound(most) || most < least)) {
    throw invalid(`${path}.max${what}`, `expected a whole number from ${least} on`);
  }
  return { least, most };
}

function refuseOthers(schema: Schema, path: string, known: readonly string[]): void {
  const other = Object.keys(schema).find((key) => !known.includes(key) && !remarks.includes(key));
  if (other !== undefined) throw invalid(`${path}.${other}`, 'not supported here');
}

function invalid(path: string, reason: string): CxmindError {
  return new CxmindError('DATA_INVALID', `${path}: ${reason}`);
}
