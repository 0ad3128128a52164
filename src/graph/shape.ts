import { CxmindError } from '../errors.ts';
import type { Dim, ValueType } from './ir.ts';

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

/** A monomial: `coefficient` times each of `symbols` (sorted); sums stay one symbol. */
interface Monomial {
  readonly coefficient: number;
  readonly symbols: readonly string[];
}

const grouped = (dim: Dim): string => (/[-+]/.test(String(dim)) ? `(${dim})` : String(dim));

function monomialOf(dim: Dim): Monomial {
  return evaluateDim<Monomial>(dim, {
    number: (coefficient) => ({ coefficient, symbols: [] }),
    symbol: (name) => ({ coefficient: 1, symbols: [name] }),
    binary: (operator, left, right) => {
      if (operator === '*') return times(left, right);
      if (operator === '/' && right.symbols.length === 0) {
        return times(left, { coefficient: 1 / right.coefficient, symbols: [] });
      }
      const first = operator === '/' ? grouped(dimOf(left)) : String(dimOf(left));
      const second = operator === '+' ? String(dimOf(right)) : grouped(dimOf(right));
      return { coefficient: 1, symbols: [grouped(`${first}${operator}${second}`)] };
    },
  });
}

function times(left: Monomial, right: Monomial): Monomial {
  return {
    coefficient: left.coefficient * right.coefficient,
    symbols: [...left.symbols, ...right.symbols].sort(),
  };
}

function dimOf({ coefficient, symbols }: Monomial): Dim {
  if (symbols.length === 0) return coefficient;
  const text = symbols.join('*');
  if (coefficient === 1) return symbols.length === 1 ? text.replace(/^\((.*)\)$/, '$1') : text;
  return coefficient < 1 ? `${text}/${Math.round(1 / coefficient)}` : `${text}*${coefficient}`;
}

const productOf = (dims: readonly Dim[]): Monomial =>
  dims.map(monomialOf).reduce(times, { coefficient: 1, symbols: [] });

/** The product of dimensions, simplified: `['T', 4, 8]` is `T*32`. */
export function productDim(dims: readonly Dim[]): Dim {
  return dimOf(productOf(dims));
}

/** The sum of dimensions; a number when all are. */
export function sumDim(dims: readonly Dim[]): Dim {
  const constant = dims.reduce<number>(
    (total, d) => (typeof d === 'number' ? total + d : total),
    0,
  );
  const symbols = dims.filter((d) => typeof d === 'string');
  if (symbols.length === 0) return constant;
  const text = symbols.join('+');
  if (constant === 0) return text;
  return constant > 0 ? `${text}+${constant}` : `${text}-${-constant}`;
}

/** A dimension less others; a number when all are. */
export function differenceDim(whole: Dim, parts: readonly Dim[]): Dim {
  const numbers = parts.reduce<number>(
    (sum, part) => (typeof part === 'number' ? sum + part : sum),
    0,
  );
  const symbols = parts.filter((part) => typeof part === 'string');
  const cancelled = symbols.indexOf(String(whole));
  if (cancelled >= 0) {
    symbols.splice(cancelled, 1);
    whole = 0;
  }
  return symbols.reduce<Dim>(
    (rest, symbol) => `${rest}-${grouped(symbol)}`,
    sumDim([whole, -numbers]),
  );
}

/**
 * The dimension that makes `whole` out of `parts`, or undefined when it is not a whole number or
 * symbols do not cancel.
 */
export function quotientDim(whole: readonly Dim[], parts: readonly Dim[]): Dim | undefined {
  const left = productOf(whole);
  const right = productOf(parts);
  const symbols = [...left.symbols];
  for (const symbol of right.symbols) {
    const at = symbols.indexOf(symbol);
    if (at < 0) return undefined;
    symbols.splice(at, 1);
  }
  const coefficient = left.coefficient / right.coefficient;
  if (symbols.length === 0 && !Number.isInteger(coefficient)) return undefined;
  return dimOf({ coefficient, symbols });
}

/** False only when both shapes certainly hold different numbers of elements. */
export function mayHoldSame(a: readonly Dim[], b: readonly Dim[]): boolean {
  const left = productOf(a);
  const right = productOf(b);
  if (left.symbols.join() !== right.symbols.join()) return true;
  return Math.abs(left.coefficient - right.coefficient) < 1e-6 * right.coefficient + 1e-12;
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
