import fc from 'fast-check';

/** Half surrogates are no characters. */
const surrogates = { from: 0xd800, count: 0x800 };

/** Any character of Unicode. The unit `binary` of fast-check makes a table of all million of them first. */
export const anyCharacter: fc.Arbitrary<string> = fc
  .nat({ max: 0x10ffff - surrogates.count })
  .map((n) => String.fromCodePoint(n < surrogates.from ? n : n + surrogates.count));
