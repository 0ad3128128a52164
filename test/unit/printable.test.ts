import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  printable,
  readable,
  secretHider,
  shortened,
  withoutLongWords,
} from '../../src/printable.ts';
import { anyCharacter } from '../support/any-character.ts';

const anyText = fc.string({ unit: anyCharacter, maxLength: 60 });
/** Characters that terminals obey, by ECMA-48 and by Unicode's list of bidirectional controls, less line feed and tab. */
const obeyed = [
  ...Array.from({ length: 0x20 }, (_, code) => code).filter((code) => code !== 9 && code !== 10),
  ...Array.from({ length: 0x21 }, (_, i) => 0x7f + i),
  ...[
    0x61c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069,
  ],
];

describe('printable', () => {
  it('leaves nothing that a terminal obeys', () => {
    const some = fc
      .array(fc.oneof(fc.constantFrom(...obeyed), fc.nat({ max: 0x2100 })))
      .map((codes) => String.fromCodePoint(...codes));
    fc.assert(
      fc.property(fc.oneof(anyText, some), (text) => {
        const codes = Array.from(printable(text), (character) => character.codePointAt(0)!);
        assert.ok(!codes.some((code) => obeyed.includes(code)));
      }),
    );
    assert.equal(
      printable('\x1b]0;T\x07a\x9b31m\r\n\tb\u202e'),
      '\\u001b]0;T\\u0007a\\u009b31m\\u000d\n\tb\\u202e',
    );
  });

  it('changes no value of JSON, and no text without such characters', () => {
    fc.assert(
      fc.property(anyText, fc.string({ unit: 'grapheme' }), (text, plain) => {
        const value = { [text]: [text] };
        assert.deepEqual(JSON.parse(printable(JSON.stringify(value, null, 1))), value);
        if (!/\p{C}|\u2028|\u2029/u.test(plain)) assert.equal(printable(plain), plain);
      }),
    );
  });
});

describe('secretHider', () => {
  const environment = {
    HF_TOKEN: 'hf_abcdef',
    HF_TOKEN_PATH: '/home/me/token',
    API_KEY: 'hf_abcdef"longer\\',
    PIN_KEY: '1234',
    HOME: '/home/me',
  };
  const hide = secretHider(environment);

  it('puts the name of a secret variable in place of its value, also in JSON', () => {
    assert.equal(hide('Bearer hf_abcdef at /home/me'), 'Bearer ${HF_TOKEN} at /home/me');
    const value = { key: environment.API_KEY, path: environment.HF_TOKEN_PATH, n: '1234' };
    const shown = { key: '${API_KEY}', path: '/home/me/token', n: '1234' };
    assert.deepEqual(JSON.parse(hide(JSON.stringify(value))), shown);
  });

  it('hides what stands before the host in a URL', () => {
    const cases = [
      ['cannot reach http://me:pa@ss:w@host:5000/x@y?', 'cannot reach http://***@host:5000/x@y?'],
      ['"https://token@host"', '"https://***@host"'],
      ['postgresql+psycopg2://u:p@h/d', 'postgresql+psycopg2://***@h/d'],
      ['a@b.c, http://host/a@b, x://', 'a@b.c, http://host/a@b, x://'],
    ] as const;
    for (const [text, shown] of cases) assert.equal(hide(text), shown);
  });
});

describe('withoutLongWords', () => {
  it('cuts data: URLs and words without an end, and leaves sentences, paths and numbers', () => {
    const url = `data:image/png;base64,${'A'.repeat(90_000)}`;
    const shown = withoutLongWords(`row 3: "${url}" is no picture`);
    assert.match(shown, /^row 3: "data:image\/png;base64,A{32}… \(\d+ more\)" is no picture$/);
    assert.ok(withoutLongWords('B'.repeat(1e6)).length < 300);
    const path = `/${'long-folder/'.repeat(300)}`;
    const whole = `${path} ${'word '.repeat(5000)} ${JSON.stringify(Array(5000).fill(12))}`;
    assert.equal(withoutLongWords(whole), whole);
  });
});

describe('shortened', () => {
  it('keeps the beginning and the end of a text of many lines', () => {
    const lines = Array.from({ length: 1000 }, (_, i) => String(i));
    const shown = shortened(lines.join('\n')).split('\n');
    assert.equal(shown.length, 201);
    assert.deepEqual([shown[0], shown[150], shown[200]], ['0', '… (800 more lines)', '999']);
    assert.ok(shortened('word '.repeat(1e5)).length < 4200);
  });
});

describe('readable', () => {
  it('takes no long time for any text of a megabyte', () => {
    const size = 1 << 20;
    const units = ['a', 'a.', 'a://', 'a://b', 'data:', 'data:,', '\\', '"', '\x1b', '://@', 'é '];
    const started = performance.now();
    for (const unit of units) readable(unit.repeat(size / unit.length));
    assert.ok(performance.now() - started < 5000);
  });
});
