/**
 * Regular expressions of ECMAScript with the flags `u` and `s`, as patterns of a whole text.
 *
 * Constructs that a finite automaton cannot match, such as backreferences, or that need context, such as look-aheads,
 * are refused. Anchors are allowed at the two ends, where they change nothing.
 */
import { RegExpParser, type AST } from '@eslint-community/regexpp';
import { CxmindError, messageOf } from '../../errors.ts';
import { allBut, choice, repeat, sequence, set, type Pattern, type Range } from './pattern.ts';

const classes: Readonly<Record<'digit' | 'space' | 'word', readonly Range[]>> = {
  digit: [[0x30, 0x39]],
  space: [
    [0x09, 0x0d],
    [0x20, 0x20],
    [0xa0, 0xa0],
    [0x1680, 0x1680],
    [0x2000, 0x200a],
    [0x2028, 0x2029],
    [0x202f, 0x202f],
    [0x205f, 0x205f],
    [0x3000, 0x3000],
    [0xfeff, 0xfeff],
  ],
  word: [
    [0x30, 0x39],
    [0x41, 0x5a],
    [0x5f, 0x5f],
    [0x61, 0x7a],
  ],
};

/**
 * The pattern of a regular expression, which is to match a whole text.
 *
 * @throws DATA_INVALID if it does not parse, or no finite automaton without context tells it
 */
export function regexPattern(source: string): Pattern {
  let parsed: AST.Pattern;
  try {
    parsed = new RegExpParser().parsePattern(source, 0, source.length, { unicode: true });
  } catch (cause) {
    throw invalid(source, messageOf(cause));
  }
  return alternatives(parsed.alternatives, source);
}

function alternatives(all: readonly AST.Alternative[], source: string): Pattern {
  return choice(
    ...all.map(({ elements, parent }) => {
      const isWhole = parent.type === 'Pattern';
      const inner = elements.filter(
        (element, i) =>
          !(
            isWhole &&
            element.type === 'Assertion' &&
            ((element.kind === 'start' && i === 0) ||
              (element.kind === 'end' && i === elements.length - 1))
          ),
      );
      return sequence(...inner.map((element) => elementPattern(element, source)));
    }),
  );
}

function elementPattern(element: AST.Element, source: string): Pattern {
  switch (element.type) {
    case 'Character':
    case 'CharacterSet':
    case 'CharacterClass':
      return set(...rangesOf(element, source));
    case 'Group':
    case 'CapturingGroup':
      return alternatives(element.alternatives, source);
    case 'Quantifier':
      return repeat(elementPattern(element.element, source), element.min, element.max);
    case 'Assertion':
    case 'Backreference':
    case 'ExpressionCharacterClass':
      throw invalid(source, `${element.raw} is none of an automaton's`);
  }
}

function rangesOf(
  element: AST.Character | AST.CharacterSet | AST.CharacterClass | AST.CharacterClassElement,
  source: string,
): readonly Range[] {
  switch (element.type) {
    case 'Character':
      return [[element.value, element.value]];
    case 'CharacterClassRange':
      return [[element.min.value, element.max.value]];
    case 'CharacterClass': {
      const ranges = element.elements.flatMap((each) => rangesOf(each, source));
      return element.negate ? allBut(ranges) : ranges;
    }
    case 'CharacterSet': {
      if (element.kind === 'any') return allBut([]);
      if (element.kind === 'property') throw invalid(source, `${element.raw} is not supported`);
      const ranges = classes[element.kind];
      return element.negate ? allBut(ranges) : ranges;
    }
    case 'ClassStringDisjunction':
    case 'ExpressionCharacterClass':
      throw invalid(source, `${element.raw} is not supported`);
  }
}

function invalid(source: string, reason: string): CxmindError {
  return new CxmindError('DATA_INVALID', `/${source.slice(0, 100)}/: ${reason}`);
}
