/**
 * Test whether an expression is zero everywhere: polynomial identity testing, extended to functions.
 *
 * The expression is evaluated at pseudo-random complex points, with a bound on the rounding error of every operation.
 * An expression of bounded size that is not zero everywhere is zero at none of the points, but for a set of measure
 * zero.
 *
 * The released grader asks sympy's `simplify` instead. A simplifier takes unbounded time, and misses equalities for
 * which it has no rewriting rule: `simplify` of mathjs, in place of this and of the parser, errs on 528 of the 3,202
 * pairs of the golden test and takes 30 times as long.
 *
 * @see Schwartz 1980, Fast probabilistic algorithms for verification of polynomial identities
 */
import type { Expression } from './expression.ts';
import type { Form } from './options.ts';

/** Complex number with a bound on its rounding error. */
interface Approximate {
  readonly re: number;
  readonly im: number;
  readonly error: number;
}

const EPSILON = 2 ** -52;
/** Largest size of a value that counts as zero, in units of its error bound. */
const SLACK = 4;
const NOWHERE: Approximate = { re: NaN, im: NaN, error: 0 };

function abs({ re, im }: Pick<Approximate, 're' | 'im'>): number {
  return Math.hypot(re, im);
}

/** Result of an operation: its own rounding error on top of the inherited one. */
function rounded(re: number, im: number, inherited: number): Approximate {
  return { re, im, error: inherited + 2 * EPSILON * Math.hypot(re, im) };
}

function add(a: Approximate, b: Approximate): Approximate {
  return rounded(a.re + b.re, a.im + b.im, a.error + b.error);
}

function negate({ re, im, error }: Approximate): Approximate {
  return { re: -re, im: -im, error };
}

function multiply(a: Approximate, b: Approximate): Approximate {
  const error = abs(a) * b.error + abs(b) * a.error + a.error * b.error;
  const scale = 2 * EPSILON * abs(a) * abs(b);
  return rounded(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re, error + scale);
}

function invert(a: Approximate): Approximate {
  const size = a.re * a.re + a.im * a.im;
  // A value that may be zero has no inverse.
  if (Math.sqrt(size) <= SLACK * a.error || size === 0) return NOWHERE;
  return rounded(a.re / size, -a.im / size, a.error / size + (2 * EPSILON) / Math.sqrt(size));
}

function exp(a: Approximate): Approximate {
  const size = Math.exp(a.re);
  return rounded(
    size * Math.cos(a.im),
    size * Math.sin(a.im),
    size * (a.error + 2 * EPSILON * abs(a)),
  );
}

function log(a: Approximate): Approximate {
  const size = abs(a);
  return rounded(Math.log(size), Math.atan2(a.im, a.re), a.error / size + EPSILON);
}

function integerPower(base: Approximate, exponent: number): Approximate {
  let result: Approximate = { re: 1, im: 0, error: 0 };
  let square = base;
  for (let left = Math.abs(exponent); left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = multiply(result, square);
    square = multiply(square, square);
  }
  return exponent < 0 ? invert(result) : result;
}

function power(base: Approximate, exponent: Approximate): Approximate {
  const isInteger = exponent.im === 0 && Number.isInteger(exponent.re);
  if (isInteger && Math.abs(exponent.re) <= 1024) return integerPower(base, exponent.re);
  if (base.re === 0 && base.im === 0) return exponent.re > 0 ? base : NOWHERE;
  return exp(multiply(exponent, log(base)));
}

const HALF: Approximate = { re: 0.5, im: 0, error: 0 };
const I: Approximate = { re: 0, im: 1, error: 0 };

/** Both of cos a + i sin a and cos a - i sin a. */
function turns(a: Approximate): [Approximate, Approximate] {
  const forth = multiply(I, a);
  return [exp(forth), exp(negate(forth))];
}

function cosine(a: Approximate): Approximate {
  const [forth, back] = turns(a);
  return multiply(HALF, add(forth, back));
}

function sine(a: Approximate): Approximate {
  const [forth, back] = turns(a);
  return multiply({ re: 0, im: -0.5, error: 0 }, add(forth, negate(back)));
}

/** Product n (n - step) (n - 2 step) … of an integer n; undefined if a is no integer, negative or too large. */
function integerFactorial(a: Approximate, step: number): Approximate | undefined {
  const n = Math.round(a.re);
  if (abs({ re: a.re - n, im: a.im }) > SLACK * a.error || n < 0 || n > 170) return undefined;
  let value = 1;
  for (let i = n; i > 1; i -= step) value *= i;
  return rounded(value, 0, n * EPSILON * value);
}

/** Coefficients of the Lanczos approximation of the gamma function, for g = 7. */
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
  -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6,
  1.5056327351493116e-7,
] as const;
/** Relative error of the approximation. */
const LANCZOS_ERROR = 1e-12;

function real(re: number): Approximate {
  return { re, im: 0, error: 0 };
}

/** Factorial Γ(a + 1) by Lanczos 1964; where that does not hold, for a real part below 0, by Γ(a + 2) / (a + 1). */
function factorial(a: Approximate): Approximate {
  const whole = integerFactorial(a, 1);
  if (whole !== undefined) return whole;
  if (a.re < -20 || !Number.isFinite(a.re)) return NOWHERE;
  if (a.re < 0) {
    const next = add(a, real(1));
    return multiply(factorial(next), invert(next));
  }
  const series = LANCZOS.reduce(
    (sum, c, i) => add(sum, i === 0 ? real(c) : multiply(real(c), invert(add(a, real(i))))),
    real(0),
  );
  const base = add(a, real(7.5));
  const size = multiply(power(base, add(a, HALF)), exp(negate(base)));
  const { re, im, error } = multiply(multiply(real(Math.sqrt(2 * Math.PI)), size), series);
  return { re, im, error: error + LANCZOS_ERROR * Math.hypot(re, im) };
}

const functions: Readonly<Record<string, (a: Approximate, b?: Approximate) => Approximate>> = {
  sqrt: (a) => power(a, HALF),
  root: (index, a) => power(a!, invert(index)),
  ln: log,
  log,
  exp,
  sin: sine,
  cos: cosine,
  tan: (a) => multiply(sine(a), invert(cosine(a))),
  cot: (a) => multiply(cosine(a), invert(sine(a))),
  sec: (a) => invert(cosine(a)),
  csc: (a) => invert(sine(a)),
  factorial,
  factorial2: (a) => integerFactorial(a, 2) ?? NOWHERE,
};

/** Pseudo-random complex point of an unknown, of size 0.5 to 2. It depends only on the name and the index. */
function pointOf(name: string, index: number): Approximate {
  let hash = 2166136261 + index * 97;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0)!, 16777619) >>> 0;
  const turn = ((Math.imul(hash, 2654435761) >>> 0) / 2 ** 32) * 2 * Math.PI;
  const size = 0.5 + (1.5 * (Math.imul(hash ^ 0x9e3779b9, 1597334677) >>> 0)) / 2 ** 32;
  return { re: size * Math.cos(turn), im: size * Math.sin(turn), error: 0 };
}

/**
 * Value of an expression with its unknowns at the points of that index; not finite if it has none.
 *
 * @param decimalPower factor of a positive decimal exponent of an unknown
 */
function valueAt(tree: Expression, index: number, decimalPower: number): Approximate {
  switch (tree.kind) {
    case 'number': {
      const re = Number(tree.text);
      return { re, im: 0, error: Number.isSafeInteger(re) ? 0 : EPSILON * Math.abs(re) };
    }
    case 'unknown':
      if (tree.name === 'pi') return { re: Math.PI, im: 0, error: EPSILON * Math.PI };
      return /^(?:oo|zoo|nan)$/.test(tree.name) ? NOWHERE : pointOf(tree.name, index);
    case 'negative':
      return negate(valueAt(tree.of, index, decimalPower));
    case 'call': {
      const [first, second] = tree.args.map((arg) => valueAt(arg, index, decimalPower));
      return functions[tree.name]!(first!, second);
    }
    case 'binary': {
      const left = valueAt(tree.left, index, decimalPower);
      const right = valueAt(tree.right, index, decimalPower);
      switch (tree.operator) {
        case '+':
          return add(left, right);
        case '-':
          return add(left, negate(right));
        case '*':
          return multiply(left, right);
        case '/':
          return multiply(left, invert(right));
        case '^':
          return right.re > 0 && hasDecimals(tree.right) && hasUnknowns(tree.left)
            ? power(left, multiply(right, real(decimalPower)))
            : power(left, right);
      }
    }
  }
}

/** Tells whether any leaf of a tree satisfies a condition. */
function someLeaf(tree: Expression, holds: (leaf: Expression) => boolean): boolean {
  switch (tree.kind) {
    case 'number':
    case 'unknown':
      return holds(tree);
    case 'negative':
      return someLeaf(tree.of, holds);
    case 'call':
      return tree.args.some((arg) => someLeaf(arg, holds));
    case 'binary':
      return someLeaf(tree.left, holds) || someLeaf(tree.right, holds);
  }
}

/** Tells whether a tree contains a decimal. */
function hasDecimals(tree: Expression): boolean {
  return someLeaf(tree, (leaf) => leaf.kind === 'number' && /[.e]/.test(leaf.text));
}

function hasUnknowns(tree: Expression): boolean {
  return someLeaf(tree, ({ kind }) => kind === 'unknown');
}

/** Functions that sympy evaluates at once if their argument has a decimal. */
const ofDouble: Readonly<Record<string, (value: number) => number>> = {
  sqrt: Math.sqrt,
  ln: Math.log,
};

/** Value in doubles, step by step, with all unknowns 1. A function of an exact argument counts as 0. */
function doubleValue(tree: Expression): number {
  switch (tree.kind) {
    case 'number':
      // sympy keeps more digits of such a decimal than a double holds.
      return /[.e]/.test(tree.text) && tree.text.match(/\d/g)!.length > 16
        ? NaN
        : Number(tree.text);
    case 'unknown':
      return tree.name === 'pi' ? Math.PI : 1;
    case 'negative':
      return -doubleValue(tree.of);
    case 'call': {
      if (!hasDecimals(tree) || hasUnknowns(tree)) return 0;
      const value = ofDouble[tree.name]?.(doubleValue(tree.args[0]!)) ?? 0;
      return Number.isNaN(value) ? 0 : value;
    }
    case 'binary': {
      const left = doubleValue(tree.left);
      const right = doubleValue(tree.right);
      switch (tree.operator) {
        case '+':
          return left + right;
        case '-':
          return left - right;
        case '*':
          return left * right;
        case '/':
          return right === 0 ? 0 : left / right;
        case '^':
          return left ** right;
      }
    }
  }
}

/**
 * Number of points at which an expression is evaluated. One is enough for a polynomial. Roots and logarithms need
 * several, because `sqrt(x^2)` is x on half of the plane.
 */
const POINTS = 8;

/** Factor of decimal exponents by which `x^0.5` differs from `sqrt(x)`, but not from itself. */
const ODD_POWER = 1 + 2 ** -10;

/**
 * Tells whether an expression is zero for all values of its unknowns.
 *
 * @param form faithful, decimals are doubles and their sums are not rounded, so `0.1+0.2` is not `0.3`, and a positive
 *   decimal power of an unknown is not its root
 */
export function isIdenticallyZero(tree: Expression, form: Form): boolean {
  if (form === 'faithful' && hasDecimals(tree) && doubleValue(tree) !== 0) return false;
  for (let index = 0; index < POINTS; index++) {
    const value = valueAt(tree, index, form === 'faithful' ? ODD_POWER : 1);
    const size = abs(value);
    if (!Number.isFinite(size) || size > SLACK * value.error) return false;
  }
  return true;
}
