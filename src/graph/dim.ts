/**
 * Arithmetic of dimensions, which are numbers or expressions over symbols such as `P+T` and `N/4`.
 *
 * An expression is parsed by recursive descent (`evaluateDim`). To compare two of them, each is brought to the normal
 * form of a polynomial: a sum of terms, sorted, each a coefficient times sorted symbols.
 */
import { CxmindError } from '../errors.ts';
import type { Dim } from './ir.ts';

/** The meaning of an expression's parts: numbers in the interpreter, names of nodes in the encoder. */
interface DimAlgebra<R> {
  number(value: number): R;
  symbol(name: string): R;
  binary(operator: '+' | '-' | '*' | '/', left: R, right: R): R;
}

const tokenPattern = /\s*(\d+|[A-Za-z_][\w.]*|[-+*/()])/gy;

function notAnExpression(dim: string): CxmindError {
  return new CxmindError('GRAPH_INVALID', `dimension '${dim}' is not an expression of symbols`);
}

function tokensOf(text: string): string[] {
  const matches = [...text.matchAll(tokenPattern)];
  if (matches.map(([whole]) => whole).join('') !== text) throw notAnExpression(text);
  return matches.map(([, token]) => token!);
}

/**
 * Computes a dimension: sums, differences, products and exact quotients of symbols and numbers.
 *
 * @throws GRAPH_INVALID for text that is no such expression
 */
export function evaluateDim<R>(dim: Dim, algebra: DimAlgebra<R>): R {
  if (typeof dim === 'number') return algebra.number(dim);
  const tokens = tokensOf(dim);
  let at = 0;
  const atom = (): R => {
    const token = tokens[at++];
    if (token === '(') {
      const inner = sum();
      if (tokens[at++] === ')') return inner;
    } else if (token !== undefined && /^\d/.test(token)) {
      return algebra.number(Number(token));
    } else if (token !== undefined && /^\w/.test(token)) {
      return algebra.symbol(token);
    }
    throw notAnExpression(dim);
  };
  const product = (): R => {
    let left = atom();
    for (let token = tokens[at]; token === '*' || token === '/'; token = tokens[at]) {
      at++;
      left = algebra.binary(token, left, atom());
    }
    return left;
  };
  const sum = (): R => {
    let left = product();
    for (let token = tokens[at]; token === '+' || token === '-'; token = tokens[at]) {
      at++;
      left = algebra.binary(token, left, product());
    }
    return left;
  };
  const result = sum();
  if (at !== tokens.length) throw notAnExpression(dim);
  return result;
}

/** The size of a dimension in numbers, from the sizes of its symbols. */
export function sizeOfDim(dim: Dim, sizeOfSymbol: (name: string) => number): number {
  return evaluateDim<number>(dim, {
    number: (value) => value,
    symbol: sizeOfSymbol,
    binary: (operator, left, right) =>
      ({ '+': left + right, '-': left - right, '*': left * right, '/': left / right })[operator],
  });
}

/** A coefficient times sorted symbols. A quotient that has a remainder is one symbol, in parentheses. */
interface Term {
  readonly coefficient: number;
  readonly symbols: readonly string[];
}

/** A sum of terms, no two of them with the same symbols. */
type Polynomial = readonly Term[];

const keyOf = (symbols: readonly string[]): string => symbols.join('*');

function added(terms: readonly Term[]): Polynomial {
  const byKey = new Map<string, Term>();
  for (const { coefficient, symbols } of terms) {
    const known = byKey.get(keyOf(symbols))?.coefficient ?? 0;
    byKey.set(keyOf(symbols), { coefficient: known + coefficient, symbols });
  }
  return [...byKey.values()].filter(({ coefficient }) => coefficient !== 0);
}

function multiplied(left: Polynomial, right: Polynomial): Polynomial {
  const terms = left.flatMap((a) =>
    right.map((b) => ({
      coefficient: a.coefficient * b.coefficient,
      symbols: [...a.symbols, ...b.symbols].sort(),
    })),
  );
  return added(terms);
}

/** The exact quotient by one term, or undefined when a symbol of it does not cancel. */
function divided(whole: Polynomial, by: Term): Polynomial | undefined {
  const terms: Term[] = [];
  for (const { coefficient, symbols } of whole) {
    const rest = [...symbols];
    for (const symbol of by.symbols) {
      const at = rest.indexOf(symbol);
      if (at < 0) return undefined;
      rest.splice(at, 1);
    }
    terms.push({ coefficient: coefficient / by.coefficient, symbols: rest });
  }
  const isWhole = terms.every(({ coefficient }) => Number.isInteger(coefficient));
  return isWhole || (terms.length === 1 && terms[0]!.symbols.length > 0) ? terms : undefined;
}

const polynomialOf = (dim: Dim): Polynomial =>
  evaluateDim<Polynomial>(dim, {
    number: (coefficient) => added([{ coefficient, symbols: [] }]),
    symbol: (name) => [{ coefficient: 1, symbols: [name] }],
    binary: (operator, left, right) => {
      switch (operator) {
        case '+':
          return added([...left, ...right]);
        case '-':
          return added([...left, ...multiplied(right, [{ coefficient: -1, symbols: [] }])]);
        case '*':
          return multiplied(left, right);
        case '/': {
          const quotient = right.length === 1 ? divided(left, right[0]!) : undefined;
          const text = `((${String(dimOf(left))})/(${String(dimOf(right))}))`;
          return quotient ?? [{ coefficient: 1, symbols: [text] }];
        }
        default:
          return operator satisfies never;
      }
    },
  });

function formatTerm({ coefficient, symbols }: Term): string {
  const size = Math.abs(coefficient);
  if (symbols.length === 0) return String(size);
  const product = keyOf(symbols);
  if (size === 1) return product;
  if (Number.isInteger(size)) return `${product}*${size}`;
  // The coefficient comes from divisions by small whole numbers, so a small denominator makes it whole.
  let denominator = 2;
  while (Math.abs(size * denominator - Math.round(size * denominator)) > 1e-9) denominator++;
  const numerator = Math.round(size * denominator);
  return numerator === 1 ? `${product}/${denominator}` : `${product}*${numerator}/${denominator}`;
}

function dimOf(polynomial: Polynomial): Dim {
  if (polynomial.every(({ symbols }) => symbols.length === 0)) {
    return polynomial[0]?.coefficient ?? 0;
  }
  const rank = ({ coefficient, symbols }: Term): string =>
    `${coefficient > 0 ? 0 : 1}${symbols.length === 0 ? 1 : 0}${keyOf(symbols)}`;
  const terms = [...polynomial].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  const text = terms
    .map((term) => `${term.coefficient > 0 ? '+' : '-'}${formatTerm(term)}`)
    .join('');
  return text.startsWith('+') ? text.slice(1) : `0${text}`;
}

const productOf = (dims: readonly Dim[]): Polynomial =>
  dims.map(polynomialOf).reduce(multiplied, [{ coefficient: 1, symbols: [] }]);

/** The normal form of a dimension: `T+P`, `P+T+0` and `(P+T)*1` are all `P+T`. */
export function normalDim(dim: Dim): Dim {
  return typeof dim === 'number' ? dim : dimOf(polynomialOf(dim));
}

/** The product of dimensions: `['T', 4, 8]` is `T*32`. */
export function productDim(dims: readonly Dim[]): Dim {
  return dimOf(productOf(dims));
}

/** The sum of dimensions. */
export function sumDim(dims: readonly Dim[]): Dim {
  return dimOf(added(dims.flatMap(polynomialOf)));
}

/** A dimension less the sum of others. */
export function differenceDim(whole: Dim, parts: readonly Dim[]): Dim {
  const minus = multiplied(added(parts.flatMap(polynomialOf)), [{ coefficient: -1, symbols: [] }]);
  return dimOf(added([...polynomialOf(whole), ...minus]));
}

/** The dimension by which to multiply `parts` to get `whole`; undefined where it may be no whole number. */
export function quotientDim(whole: readonly Dim[], parts: readonly Dim[]): Dim | undefined {
  const [by, ...others] = productOf(parts);
  if (by === undefined || others.length > 0) return undefined;
  const quotient = divided(productOf(whole), by);
  return quotient === undefined ? undefined : dimOf(quotient);
}

/** The one symbol of a dimension such as `T*2`, and its size by the dimension's; undefined for any other dimension. */
export function soleSymbol(
  dim: Dim,
): { readonly name: string; readonly sizeBy: (size: number) => number } | undefined {
  const terms = polynomialOf(dim);
  const [term, ...others] = terms.filter(({ symbols }) => symbols.length > 0);
  if (term?.symbols.length !== 1 || others.length > 0) return undefined;
  const rest = terms.find(({ symbols }) => symbols.length === 0)?.coefficient ?? 0;
  return { name: term.symbols[0]!, sizeBy: (size) => (size - rest) / term.coefficient };
}

/** True if two shapes may hold equally many elements; false only where no values of the symbols make them so. */
export function mayHoldSame(a: readonly Dim[], b: readonly Dim[]): boolean {
  const minus = multiplied(productOf(b), [{ coefficient: -1, symbols: [] }]);
  const rest = added([...productOf(a), ...minus]);
  const signs = new Set(rest.map(({ coefficient }) => Math.sign(coefficient)));
  return signs.size !== 1;
}

/** The symbols in a shape's dimensions, each as often as it occurs. */
export function symbolsOf(shape: readonly Dim[]): string[] {
  const symbols: string[] = [];
  for (const dim of shape) {
    evaluateDim(dim, {
      number: () => undefined,
      symbol: (name) => void symbols.push(name),
      binary: () => undefined,
    });
  }
  return symbols;
}
