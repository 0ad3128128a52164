/** Patterns of text. Regular expressions and JSON schemas become patterns, and patterns become automata. */

/** Range of code points, both ends included. */
export type Range = readonly [low: number, high: number];

/** A pattern of text. */
export type Pattern =
  | { readonly kind: 'set'; readonly ranges: readonly Range[] }
  | { readonly kind: 'sequence'; readonly parts: readonly Pattern[] }
  | { readonly kind: 'choice'; readonly options: readonly Pattern[] }
  | {
      readonly kind: 'repeat';
      readonly of: Pattern;
      readonly least: number;
      /** Infinity for no bound. */
      readonly most: number;
    };

const LAST = 0x10ffff;
/** Code points that no UTF-8 has. */
const SURROGATES: Range = [0xd800, 0xdfff];

/** A set of code points; surrogates are left out. */
export function set(...ranges: readonly Range[]): Pattern {
  return { kind: 'set', ranges: without(ranges, [SURROGATES]) };
}

/** All code points but those of some ranges. */
export function allBut(ranges: readonly Range[]): Range[] {
  return without([[0, LAST]], ranges);
}

/** Exactly this text. */
export function literal(text: string): Pattern {
  return sequence(
    ...Array.from(text, (letter): Pattern => {
      const code = letter.codePointAt(0)!;
      return set([code, code]);
    }),
  );
}

/** One pattern after the other. */
export function sequence(...parts: readonly Pattern[]): Pattern {
  return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
}

/** One of several patterns. */
export function choice(...options: readonly Pattern[]): Pattern {
  return options.length === 1 ? options[0]! : { kind: 'choice', options };
}

/** A pattern some number of times. */
export function repeat(of: Pattern, least: number, most: number): Pattern {
  return { kind: 'repeat', of, least, most };
}

/** A pattern, or nothing. */
export function optional(of: Pattern): Pattern {
  return repeat(of, 0, 1);
}

/** Ranges less others, in rising order. */
export function without(ranges: readonly Range[], others: readonly Range[]): Range[] {
  let left = [...ranges];
  for (const [low, high] of others) {
    left = left.flatMap(([a, b]): Range[] => [
      ...(a < low ? ([[a, Math.min(b, low - 1)]] as const) : []),
      ...(b > high ? ([[Math.max(a, high + 1), b]] as const) : []),
    ]);
  }
  return left.sort((a, b) => a[0] - b[0]);
}
