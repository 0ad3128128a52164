import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Automaton, type State } from '../../../../src/generation/grammar/automaton.ts';
import { jsonSchemaPattern } from '../../../../src/generation/grammar/json-schema.ts';
import { regexPattern } from '../../../../src/generation/grammar/regex.ts';
import { TokenGrammar, TokenTrie } from '../../../../src/generation/grammar/token-grammar.ts';

const expressions = [
  'a|bc|',
  '(ab)*c{2,3}',
  '[^a-c\\d]+x?',
  '^\\w+@(?:\\w+\\.)+[a-z]{2}$',
  '.{0,3}é',
  '[à-öЀ-ӿ一-龥😀-😏]*',
  '\\s?[\\u{10000}-\\u{10FFFF}]|\\S',
  '-?(0|[1-9]\\d*)(\\.\\d+)?',
];
const letters = fc.constantFrom(...Array.from('aabbcdxé@.09- _ñЖ中龥😀😏\u{10000}\n'));

/** Tells whether a whole text is of an automaton's pattern. */
function matches(automaton: Automaton, text: string): boolean {
  let state: State | null = automaton.start;
  for (const byte of Buffer.from(text)) state = state && automaton.step(state, byte);
  return state?.isAccepting === true;
}

describe('Automaton', () => {
  for (const source of expressions) {
    it(`matches what JavaScript's own engine does: ${source}`, () => {
      const automaton = new Automaton(regexPattern(source));
      const own = new RegExp(`^(?:${source})$`, 'us');
      fc.assert(
        fc.property(fc.string({ unit: letters, maxLength: 8 }), (text) => {
          assert.equal(matches(automaton, text), own.test(text), JSON.stringify(text));
        }),
        { numRuns: 300 },
      );
    });
  }

  it('reads ranges that end anywhere in the four lengths of UTF-8', () => {
    const edges = [0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff];
    const point = fc.oneof(fc.constantFrom(...edges), fc.nat(0x10ffff));
    const isCharacter = (code: number): boolean => code < 0xd800 || code > 0xdfff;
    const escaped = (code: number): string => `\\u{${code.toString(16)}}`;
    fc.assert(
      fc.property(point, point, fc.array(point, { minLength: 5 }), (a, b, probes) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const automaton = new Automaton(regexPattern(`[${escaped(low)}-${escaped(high)}]`));
        for (const code of [low, high, low - 1, high + 1, ...probes]) {
          if (code < 0 || code > 0x10ffff || !isCharacter(code)) continue;
          const isWithin = low <= code && code <= high;
          assert.equal(matches(automaton, String.fromCodePoint(code)), isWithin, escaped(code));
        }
      }),
    );
  });

  it('refuses what no automaton tells, and what is too large', () => {
    for (const source of ['(a)\\1', 'a(?=b)', '\\bx', 'a^b', '(', 'a{1000000}', '(){1000000000}']) {
      assert.throws(() => new Automaton(regexPattern(source)), { code: 'DATA_INVALID' }, source);
    }
  });
});

describe('jsonSchemaPattern', () => {
  const text = { type: 'string' };
  const cases: [object, readonly string[], readonly string[]][] = [
    [text, ['""', '"a b"', '"\\n\\u00e9\\""', '"é中"'], ['a', '"', '"\n"', '"""', '"\\x"']],
    [{ ...text, minLength: 2, maxLength: 3 }, ['"ab"', '"a\\n"'], ['"a"', '"abcd"']],
    [{ ...text, pattern: '^x."?$' }, ['"x1"', '"x1\\""', '"x\\\\"'], ['"x""', '"x"', '"x1"x']],
    [{ type: 'integer' }, ['0', '-7', '120'], ['01', '1.5', '', '-', '1e3']],
    [{ type: 'number' }, ['0', '-7.25', '1e5', '2E-3'], ['.5', '1.', '+1', 'NaN']],
    [{ type: ['boolean', 'null'] }, ['true', 'false', 'null'], ['True', '0']],
    [{ enum: ['a"b', 3, null] }, ['"a\\"b"', '3', 'null'], ['a"b', '"3"']],
    [{ const: { a: [1] } }, ['{"a":[1]}'], ['{"a":[2]}']],
    [{ anyOf: [{ type: 'null' }, { $ref: '#' }] }, [], []],
    [
      { type: 'array', items: { type: 'integer' }, minItems: 1, maxItems: 3 },
      ['[1]', '[1, 2]', '[1,2,3]'],
      ['[]', '[1,2,3,4]', '[1,]', '[,1]'],
    ],
    [{ type: 'array', items: { type: 'null' } }, ['[]', '[null,null]'], ['null']],
    [{ type: 'array', items: { type: 'null' }, maxItems: 0 }, ['[]'], ['[null]']],
    [
      {
        type: 'object',
        properties: { a: { type: 'null' }, b: { type: 'null' }, c: { $ref: '#/$defs/n' } },
        required: ['b'],
        $defs: { n: { type: 'null' } },
      },
      [
        '{"b":null}',
        '{"a": null, "b": null}',
        '{"b":null,"c":null}',
        '{"a":null,"b":null,"c":null}',
      ],
      ['{}', '{"a":null}', '{"a":null,"c":null}', '{"c":null,"b":null}', '{"b":null,}'],
    ],
    [{ type: 'object', properties: { a: text } }, ['{}', '{"a":""}'], ['{"b":""}']],
  ];
  for (const [schema, right, wrong] of cases) {
    it(`takes the values of ${JSON.stringify(schema).slice(0, 70)}`, () => {
      if (right.length === 0) {
        assert.throws(() => jsonSchemaPattern(schema), { code: 'DATA_INVALID' });
        return;
      }
      const automaton = new Automaton(jsonSchemaPattern(schema));
      for (const each of right) {
        assert.ok(matches(automaton, each), each);
        JSON.parse(each);
      }
      for (const each of wrong) assert.ok(!matches(automaton, each), each);
    });
  }

  it('names the keyword that it cannot follow', () => {
    const nested = { type: 'object', properties: { a: { type: 'integer', minimum: 3 } } };
    assert.throws(() => jsonSchemaPattern(nested), {
      message: 'schema.properties.a.minimum: not supported here',
    });
  });
});

describe('TokenGrammar', () => {
  const encoder = new TextEncoder();
  const [half, rest] = [Uint8Array.of(0xc3), Uint8Array.of(0xa9)];
  const words = ['a', 'b', 'ab', 'aab', 'c', ''].map((word) => encoder.encode(word));
  const trie = new TokenTrie([...words, half, rest, encoder.encode('end')], [8]);
  const allowed = (constraint: { allowed(): Uint32Array }): number[] =>
    [...Array(9).keys()].filter((token) => (constraint.allowed()[0]! >>> token) & 1);

  it('allows tokens that go on, in the middle of a character too, and the end where it may be', () => {
    const grammar = new TokenGrammar(new Automaton(regexPattern('a+b?é?')), trie);
    const response = grammar.begin();
    assert.deepEqual(allowed(response), [0, 2, 3]);
    response.accept(2);
    assert.deepEqual(allowed(response), [6, 8]);
    response.accept(6);
    assert.deepEqual(allowed(response), [7]);
    response.accept(7);
    assert.deepEqual(allowed(response), [8]);
    assert.deepEqual(allowed(grammar.begin()), [0, 2, 3]);
  });

  it('ends a response that no token of the vocabulary can go on with', () => {
    const response = new TokenGrammar(new Automaton(regexPattern('az')), trie).begin();
    response.accept(0);
    assert.deepEqual(allowed(response), [8]);
  });
});
