import { CxmindError } from '../errors.ts';
import type { Dim, ValueType } from './ir.ts';
import type { Shapes } from './kernel.ts';

/** How an expression over symbols is computed: numbers in the interpreter, node names in the encoder. */
export interface DimAlgebra<R> {
  number(value: number): R;
  symbol(name: string): R;
  binary(operator: '+' | '-' | '*' | '/', left: R, right: R): R;
}

const tokenPattern = /\s*(\d+|[A-Za-z_][\w.]*|[-+*/()])/gy;

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < text.length) {
    const match = tokenPattern.exec(text);
    if (match === null) {
      throw new CxmindError('GRAPH_INVALID', `dimension '${text}' is not an expression of symbols`);
    }
    tokens.push(match[1]!);
  }
  return tokens;
}

/** Computes a dimension: sums, differences, products and exact quotients of symbols and numbers. */
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
    throw new CxmindError('GRAPH_INVALID', `dimension '${dim}' is not an expression of symbols`);
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
  if (at !== tokens.length) {
    throw new CxmindError('GRAPH_INVALID', `dimension '${dim}' is not an expression of symbols`);
  }
  return result;
}

/** A coefficient times symbols, sorted; a quotient that does not come out is one symbol, parenthesised. */
interface Term {
  readonly coefficient: number;
  readonly symbols: readonly string[];
}

/** A sum of terms with different symbols. */
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
  // The coefficient came of divisions by small whole numbers: find its fraction.
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

/** The one way the library writes a dimension: `T+P`, `P+T+0` and `(P+T)*1` are all `P+T`. */
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

/** A dimension less others. */
export function differenceDim(whole: Dim, parts: readonly Dim[]): Dim {
  const minus = multiplied(added(parts.flatMap(polynomialOf)), [{ coefficient: -1, symbols: [] }]);
  return dimOf(added([...polynomialOf(whole), ...minus]));
}

/** The dimension that makes `whole` out of `parts`, or undefined when it is not certainly a whole number. */
export function quotientDim(whole: readonly Dim[], parts: readonly Dim[]): Dim | undefined {
  const [by, ...others] = productOf(parts);
  if (by === undefined || others.length > 0) return undefined;
  const quotient = divided(productOf(whole), by);
  return quotient === undefined ? undefined : dimOf(quotient);
}

/** False only when two shapes certainly hold different numbers of elements, whatever the symbols. */
export function mayHoldSame(a: readonly Dim[], b: readonly Dim[]): boolean {
  const minus = multiplied(productOf(b), [{ coefficient: -1, symbols: [] }]);
  const rest = added([...productOf(a), ...minus]);
  const signs = new Set(rest.map(({ coefficient }) => Math.sign(coefficient)));
  return signs.size !== 1;
}

/** Whether two shapes are written alike. */
export function sameShape(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** The shape as text: `[T, 8]`. */
export function formatShape(shape: readonly Dim[]): string {
  return `[${shape.join(', ')}]`;
}

/** The shape that operands of these shapes broadcast to, or undefined; two different symbols do not broadcast. */
export function broadcastShapes(shapes: readonly (readonly Dim[])[]): Dim[] | undefined {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const result: Dim[] = new Array<Dim>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const at = rank - shape.length + i;
      const dim = shape[i]!;
      if (dim === 1 || dim === result[at]) continue;
      if (result[at] !== 1) return undefined;
      result[at] = dim;
    }
  }
  return result;
}

/** The symbols in a shape's dimensions, as often as they stand there. */
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

/** Whether all sizes of some shapes follow from those of given values. */
export function areSized(shapes: readonly (readonly Dim[])[], from: readonly ValueType[]): boolean {
  const known = new Set(from.flatMap(({ shape }) => shape));
  const isSized = (dim: Dim): boolean =>
    known.has(dim) ||
    evaluateDim<boolean>(dim, {
      number: () => true,
      symbol: (name) => known.has(name),
      binary: (_operator, left, right) => left && right,
    });
  return shapes.every((shape) => shape.every(isSized));
}

/**
 * Shapes in numbers, where given values have these sizes.
 *
 * @throws INTERNAL where `areSized` is false
 */
export function shapesOf(
  wanted: readonly (readonly Dim[])[],
  from: readonly ValueType[],
  shapes: Shapes,
): Shapes {
  const sizes = new Map<string, number>();
  for (const [i, { shape }] of from.entries()) {
    for (const [axis, dim] of shape.entries()) {
      if (typeof dim === 'string') sizes.set(dim, shapes[i]![axis]!);
    }
  }
  return wanted.map((shape) => shape.map((dim) => sizeOfDim(dim, sizes)));
}

function sizeOfDim(dim: Dim, sizes: ReadonlyMap<string, number>): number {
  if (typeof dim === 'number') return dim;
  return (
    sizes.get(dim) ??
    evaluateDim<number>(dim, {
      number: (value) => value,
      symbol: (name) => {
        const size = sizes.get(name);
        if (size === undefined) throw new CxmindError('INTERNAL', `no input has dimension ${name}`);
        return size;
      },
      binary: (operator, a, b) =>
        operator === '+' ? a + b : operator === '-' ? a - b : operator === '*' ? a * b : a / b,
    })
  );
}

/** The axis counted from the front; throws SHAPE_MISMATCH when it is not one of the value's. */
export function axisOf(op: string, axis: number, rank: number): number {
  const result = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || result < 0 || result >= rank) {
    throw new CxmindError('SHAPE_MISMATCH', `${op}: axis ${axis} of a value with ${rank} axes`);
  }
  return result;
}

/** A SHAPE_MISMATCH that names the op and the shapes it was given. */
export function shapeError(op: string, what: string, inputs: readonly ValueType[]): CxmindError {
  const shapes = inputs.map((input) => formatShape(input.shape)).join(' · ');
  return new CxmindError('SHAPE_MISMATCH', `${op}: ${what}, got ${shapes}`, {
    detail: { op, shapes: inputs.map((input) => input.shape) },
  });
}

/** A DTYPE_MISMATCH that names the op and the dtypes it was given. */
export function dtypeError(op: string, what: string, inputs: readonly ValueType[]): CxmindError {
  const dtypes = inputs.map((input) => input.dtype);
  return new CxmindError('DTYPE_MISMATCH', `${op}: ${what}, got ${dtypes.join(' · ')}`, {
    detail: { op, dtypes },
  });
}
