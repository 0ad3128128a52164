import type { DType } from '../../tensor/dtype.ts';
import { isFloat } from '../ir.ts';
import { cFloat, cTypes } from '../kernel-prelude.ts';
import { dtypeError, shapeError } from '../shape.ts';
import { mapArrays } from './array.ts';
import { binary, broadcastType, predicate, sameDType, unary } from './elementwise-forms.ts';
import { erf, truncateTo } from './numeric.ts';
import { asNode, microsoft, type None, type Op, type OpFamily } from './op.ts';

/** Elementwise ops without attributes. */
// oxfmt-ignore
type PlainOp =
  | 'neg' | 'exp' | 'log' | 'sqrt' | 'reciprocal' | 'sigmoid' | 'silu' | 'tanh' | 'erf' | 'abs' | 'sign' | 'sin' | 'cos'
  | 'floor' | 'not'
  | 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max' | 'pow' | 'equal' | 'less' | 'greater' | 'and' | 'or' | 'where';

/** Attributes of the elementwise ops. */
export interface ElementwiseAttributes extends Readonly<Record<PlainOp, None>> {
  readonly clip: { readonly low: number; readonly high: number };
  readonly cast: { readonly to: DType };
}

/** The larger or the smaller of two numbers. All of the gradient goes to the one that is given, and half on a tie. */
function extreme(
  name: 'min' | 'max',
  type: string,
  cName: string,
  wins: 'less' | 'greater',
): Op<None> {
  const c = (a: string, b: string): string => `${cName}(${a}, ${b})`;
  return binary(name, type, c, Math[name], (g, dy, a, b) => {
    const [won, tied] = [g[wins](a, b), g.equal(a, b)].map((isSo) => g.cast(isSo, a.dtype));
    const da = g.mul(dy, g.add(won!, g.mul(tied!, g.scalar(0.5, a.dtype))));
    return [da, g.sub(dy, da)];
  });
}

// Ops that differ in their formula alone, one a line: in C, in TypeScript, and the gradients of the operands.

// oxfmt-ignore
const unaryOps = {
  neg: unary('neg', 'Neg', (x) => `-${x}`, (x) => -x, (g, dy) => g.neg(dy), 'number'),
  exp: unary('exp', 'Exp', (x) => `expf(${x})`, Math.exp, (g, dy, _x, y) => g.mul(dy, y)),
  log: unary('log', 'Log', (x) => `logf(${x})`, Math.log, (g, dy, x) => g.div(dy, x)),
  sqrt: unary(
    'sqrt',
    'Sqrt',
    (x) => `sqrtf(${x})`,
    Math.sqrt,
    (g, dy, _x, y) => g.div(g.mul(dy, g.scalar(0.5, dy.dtype)), y),
  ),
  reciprocal: unary(
    'reciprocal',
    'Reciprocal',
    (x) => `1.f / ${x}`,
    (x) => 1 / x,
    (g, dy, _x, y) => g.neg(g.mul(dy, g.mul(y, y))),
  ),
  sigmoid: unary(
    'sigmoid',
    'Sigmoid',
    (x) => `1.f / (1.f + expf(-${x}))`,
    (x) => 1 / (1 + Math.exp(-x)),
    (g, dy, _x, y) => g.mul(dy, g.mul(y, g.sub(g.scalar(1, y.dtype), y))),
  ),
  tanh: unary(
    'tanh',
    'Tanh',
    (x) => `tanhf(${x})`,
    Math.tanh,
    (g, dy, _x, y) => g.mul(dy, g.sub(g.scalar(1, y.dtype), g.mul(y, y))),
  ),
  erf: unary(
    'erf',
    'Erf',
    (x) => `erff(${x})`,
    erf,
    (g, dy, x) =>
      g.mul(dy, g.mul(g.exp(g.neg(g.mul(x, x))), g.scalar(2 / Math.sqrt(Math.PI), x.dtype))),
  ),
  abs: unary('abs', 'Abs', (x) => `${x} < 0 ? -${x} : ${x}`, Math.abs, (g, dy, x) => g.mul(dy, g.sign(x)), 'number'),
  sign: unary('sign', 'Sign', (x) => `(${x} > 0) - (${x} < 0)`, Math.sign, () => undefined, 'number'),
  sin: unary('sin', 'Sin', (x) => `sinf(${x})`, Math.sin, (g, dy, x) => g.mul(dy, g.cos(x))),
  cos: unary('cos', 'Cos', (x) => `cosf(${x})`, Math.cos, (g, dy, x) => g.neg(g.mul(dy, g.sin(x)))),
  floor: unary('floor', 'Floor', (x) => `floorf(${x})`, Math.floor, () => undefined),
};

// oxfmt-ignore
const binaryOps = {
  add: binary('add', 'Add', (a, b) => `${a} + ${b}`, (a, b) => a + b, (_g, dy) => [dy, dy]),
  sub: binary('sub', 'Sub', (a, b) => `${a} - ${b}`, (a, b) => a - b, (g, dy) => [dy, g.neg(dy)]),
  mul: binary('mul', 'Mul', (a, b) => `${a} * ${b}`, (a, b) => a * b, (g, dy, a, b) => [g.mul(dy, b), g.mul(dy, a)]),
  div: binary(
    'div',
    'Div',
    (a, b) => `${a} / ${b}`,
    (a, b) => a / b,
    (g, dy, _a, b, y) => {
      const da = g.div(dy, b);
      return [da, g.neg(g.mul(da, y))];
    },
  ),
  min: extreme('min', 'Min', 'smaller', 'less'),
  max: extreme('max', 'Max', 'larger', 'greater'),
  pow: binary(
    'pow',
    'Pow',
    (a, b) => `powf(${a}, ${b})`,
    Math.pow,
    (g, dy, a, b, y) => [
      g.mul(dy, g.mul(b, g.pow(a, g.sub(b, g.scalar(1, b.dtype))))),
      g.mul(dy, g.mul(y, g.log(a))),
    ],
  ),
};

// oxfmt-ignore
const predicates = {
  equal: predicate('equal', 'Equal', (a, b) => `${a} == ${b}`, (a, b) => a === b, 'number'),
  less: predicate('less', 'Less', (a, b) => `${a} < ${b}`, (a, b) => a < b, 'number'),
  greater: predicate('greater', 'Greater', (a, b) => `${a} > ${b}`, (a, b) => a > b, 'number'),
  and: predicate('and', 'And', (a, b) => `${a} && ${b}`, (a, b) => a !== 0 && b !== 0, 'bool'),
  or: predicate('or', 'Or', (a, b) => `${a} || ${b}`, (a, b) => a !== 0 || b !== 0, 'bool'),
};

/** Elementwise ops; operands broadcast as in NumPy. */
export const elementwise: OpFamily<ElementwiseAttributes> = {
  ...unaryOps,
  ...binaryOps,
  ...predicates,
  silu: {
    ...unary(
      'silu',
      'QuickGelu',
      (x) => `${x} / (1.f + expf(-${x}))`,
      (x) => x / (1 + Math.exp(-x)),
      // With s the sigmoid and y = x s: s + x s (1 - s) = y + s (1 - y).
      (g, dy, x) =>
        g.inFloat32([dy, x], (dy, x) => {
          const s = g.sigmoid(x);
          const y = g.mul(x, s);
          return g.mul(dy, g.add(y, g.mul(s, g.sub(g.scalar(1), y))));
        }),
    ),
    emit: asNode('QuickGelu', () => ({ alpha: { float: 1 } }), microsoft),
    substitutes: ({ inputs: [x] }, g) => [g.inFloat32([x!], (x) => g.mul(x, g.sigmoid(x)))],
  },
  clip: {
    infer([x], { low, high }) {
      if (!isFloat(x!.dtype)) throw dtypeError('clip', 'wants a float dtype', [x!]);
      if (!(low <= high)) throw shapeError('clip', `bounds ${low} .. ${high} are empty`, [x!]);
      return [{ dtype: x!.dtype, shape: x!.shape }];
    },
    emit({ inputs: [x], outputs: [y], attributes: { low, high } }, onnx) {
      const bounds = [onnx.scalar(low, x!.dtype), onnx.scalar(high, x!.dtype)];
      onnx.node('Clip', [x!, ...bounds], [y!]);
    },
    expression: ([x], { attributes: { low, high } }) => {
      const [least, most] = [low, high].map((bound) => cFloat(bound));
      return `${x} < ${least} ? ${least} : ${x} > ${most} ? ${most} : ${x}`;
    },
    vjp({ inputs: [x], attributes: { low, high } }, [dy], g) {
      if (dy === undefined) return [];
      const isBelow = g.less(x!, g.scalar(low, x!.dtype));
      const isAbove = g.greater(x!, g.scalar(high, x!.dtype));
      return [g.where(g.or(isBelow, isAbove), g.scalar(0, dy.dtype), dy)];
    },
    evaluate: ([x], { low, high }) => [
      mapArrays(x!.dtype, [x!], (v) => Math.min(high, Math.max(low, v))),
    ],
  },
  cast: {
    infer: ([x], { to }) => [{ dtype: to, shape: x!.shape }],
    emit: asNode('Cast', ({ to }) => ({ to: { dtype: to } })),
    expression([x], { attributes: { to } }) {
      if (to === 'bool') return `${x} != 0`;
      return to === 'f16' || to === 'bf16' ? `rounded<${to}>(${x})` : `(${cTypes[to]})${x}`;
    },
    vjp: ({ inputs: [x] }, [dy], g) => [dy && isFloat(x!.dtype) ? g.cast(dy, x!.dtype) : undefined],
    evaluate: ([x], { to }) => [mapArrays(to, [x!], truncateTo(to))],
  },
  not: {
    infer([x]) {
      if (x!.dtype !== 'bool') throw dtypeError('not', 'wants bool', [x!]);
      return [{ dtype: 'bool', shape: x!.shape }];
    },
    emit: asNode('Not'),
    expression: ([x]) => `!${x}`,
    evaluate: ([x]) => [mapArrays('bool', [x!], (v) => Number(v === 0))],
  },
  where: {
    infer(inputs) {
      if (inputs[0]!.dtype !== 'bool') throw dtypeError('where', 'the condition is bool', inputs);
      return broadcastType('where', inputs, sameDType('where', inputs.slice(1)));
    },
    emit: asNode('Where'),
    expression: ([condition, a, b]) => `${condition} ? ${a} : ${b}`,
    vjp({ inputs: [condition] }, [dy], g) {
      if (dy === undefined) return [];
      const zero = g.scalar(0, dy.dtype);
      return [undefined, g.where(condition!, dy, zero), g.where(condition!, zero, dy)];
    },
    evaluate: ([condition, a, b]) => [
      mapArrays(a!.dtype, [condition!, a!, b!], (c, x, y) => (c !== 0 ? x : y)),
    ],
  },
};
