import type { DType, FloatDType } from '../../src/tensor/dtype.ts';
import type { GraphBuilder } from '../../src/graph/builder.ts';
import type { Dim, Value } from '../../src/graph/ir.ts';
import type { NdArray } from '../../src/graph/ops/array.ts';
import { sizeOf } from '../../src/tensor/tensor.ts';
import type { OpName } from '../../src/graph/ops/table.ts';
import { Rng } from '../../src/rng.ts';

/** An input of a case: its shape over the symbols of `sizes`, and how its elements are drawn. */
export interface CaseInput {
  /** Dtype of an input that does not have the case's float dtype. */
  readonly dtype?: DType;
  readonly shape: readonly Dim[];
  readonly draw?: Draw;
  /** True where its gradient is checked, which is the default for float inputs. */
  readonly hasGradient?: boolean;
}

type DimOf = (symbol: string) => Dim;
type Drawn = Omit<CaseInput, 'shape'>;
type Draw = (rng: Rng, shape: readonly number[], sizes: Sizes) => readonly number[];
type Sizes = Readonly<Record<string, number>>;

/** One way to use an op: inputs, and the values that are compared. */
export interface OpCase {
  readonly inputs: Readonly<Record<string, CaseInput>>;
  /** Writes the op; `dim` gives a symbol, or its size when the graph is static. */
  readonly build: (g: GraphBuilder, inputs: Readonly<Record<string, Value>>, dim: DimOf) => Value[];
  /** Reason for checking no gradient, for an op that has none. */
  readonly noGradient?: string;
}

/** Odd multiples of 1/64 in (-2, 2): never zero, whole, or at a bound that a case uses. */
const grid: Draw = (rng, shape) =>
  Array.from({ length: sizeOf(shape) }, () => (2 * rng.nextBelow(128) - 127) / 64);
const positive: Draw = (rng, shape) => grid(rng, shape, {}).map((x) => Math.abs(x) + 0.5);
const awayFromZero: Draw = (rng, shape) => grid(rng, shape, {}).map((x) => x + Math.sign(x) / 2);
const coin: Draw = (rng, shape) => Array.from({ length: sizeOf(shape) }, () => rng.nextBelow(2));
const small: Draw = (rng, shape) => Array.from({ length: sizeOf(shape) }, () => rng.nextBelow(3));
const quarters: Draw = (rng, shape) => grid(rng, shape, {}).map((x) => x / 4);
const among =
  (numbers: readonly number[]): Draw =>
  (rng, shape) =>
    Array.from({ length: sizeOf(shape) }, () => numbers[rng.nextBelow(numbers.length)]!);
const below =
  (symbol: string): Draw =>
  (rng, shape, sizes) =>
    Array.from({ length: sizeOf(shape) }, () => rng.nextBelow(sizes[symbol]!));

/** Numbers of which no two are within 1/8, so that a largest one stays the largest when nudged. */
const distinct: Draw = (rng, shape) => {
  const numbers = Array.from({ length: sizeOf(shape) }, (_, i) => i / 8 - 1);
  for (let i = numbers.length - 1; i > 0; i--) {
    const j = rng.nextBelow(i + 1);
    [numbers[i], numbers[j]] = [numbers[j]!, numbers[i]!];
  }
  return numbers;
};

/** The sizes that symbols take; each is drawn anew. */
export const symbols = ['A', 'B', 'C', 'D', 'V'] as const;

/** An input with its shape as text, such as `A B 6`. */
type Given = Drawn & { readonly shape: string };

/** A case. An input that is drawn as usual, in the case's float dtype, is given by its shape alone. */
function opCase<Name extends string>(
  inputs: Readonly<Record<Name, string | Given>>,
  build: (g: GraphBuilder, inputs: Readonly<Record<Name, Value>>, dim: DimOf) => Value[],
  noGradient?: string,
): OpCase {
  const given = Object.entries<string | Given>(inputs).map(([name, input]): [string, CaseInput] => {
    const { shape, ...drawn } = typeof input === 'string' ? { shape: input } : input;
    const dims = shape.split(' ').filter((dim) => dim !== '');
    return [name, { ...drawn, shape: dims.map((dim) => (/^\d+$/.test(dim) ? Number(dim) : dim)) }];
  });
  return {
    inputs: Object.fromEntries(given),
    build,
    ...(noGradient !== undefined && { noGradient }),
  };
}

const unary = (apply: (g: GraphBuilder, x: Value) => Value, draw: Draw = grid): OpCase[] => [
  opCase({ x: { shape: 'A B', draw } }, (g, { x }) => [apply(g, x)]),
];

/** Two operands of one shape; one broadcast into the other either way; both broadcast; a scalar. */
const binary = (
  apply: (g: GraphBuilder, a: Value, b: Value) => Value,
  options: { a?: Drawn; b?: Drawn; noGradient?: string } = {},
): OpCase[] => {
  const shapes = [
    ['A B', 'A B'],
    ['A B C', 'C'],
    ['B 1', 'A B C'],
    ['A 1 C', '1 B 1'],
    ['A B', ''],
  ] as const;
  return shapes.map(([a, b]) =>
    opCase(
      { a: { ...options.a, shape: a }, b: { ...options.b, shape: b } },
      (g, { a, b }) => [apply(g, a, b)],
      options.noGradient,
    ),
  );
};

const comparison = (apply: (g: GraphBuilder, a: Value, b: Value) => Value): OpCase[] =>
  [{}, { dtype: 'i32' } as const].flatMap((type) =>
    binary(apply, {
      a: { draw: small, ...type },
      b: { draw: small, ...type },
      noGradient: 'its output is bool',
    }),
  );

const logical = (apply: (g: GraphBuilder, a: Value, b: Value) => Value): OpCase[] =>
  binary(apply, {
    a: { dtype: 'bool', draw: coin },
    b: { dtype: 'bool', draw: coin },
    noGradient: 'its output is bool',
  });

const reduction = (
  apply: (g: GraphBuilder, x: Value, axes: number[], keepDims: boolean) => Value,
): OpCase[] =>
  [
    { axes: [1], keepDims: false },
    { axes: [-1], keepDims: true },
    { axes: [0, 2], keepDims: false },
    { axes: [0, 1, 2], keepDims: false },
  ].map(({ axes, keepDims }) =>
    opCase({ x: { shape: 'A B C', draw: distinct } }, (g, { x }) => [apply(g, x, axes, keepDims)]),
  );

const index = (shape: string, symbol: string): Given => ({
  dtype: 'i64',
  shape,
  draw: below(symbol),
});

/** Numbers of rows of three groups that have `A` together, the second none. */
const someRows: Given = {
  dtype: 'i64',
  shape: '3',
  draw: (_rng, _shape, { A: rows }) => [Math.ceil(rows! / 2), 0, Math.floor(rows! / 2)],
};

/** Three matrices of one shape, one for each group. */
const matrices = <Input>(input: Input) => ({ u: input, v: input, w: input });

/** Numbers of rows for which kernels choose unlike tiles, in three groups. */
const groupsOfRows = [40, 150, 420];
const rowsOf = (rows: number): Given => ({
  dtype: 'i64',
  shape: '3',
  draw: (rng) => {
    const [first, second] = [rng.nextBelow(rows), rng.nextBelow(rows)].toSorted((a, b) => a - b);
    return [first!, second! - first!, rows - second!];
  },
});

/** The order of `A` tokens' rows, two of each, by random groups, and its inverse. */
const orderOfRows = (isInverse: boolean): Given => ({
  dtype: 'i64',
  shape: 'A*2',
  draw(_rng, [rows]) {
    // Odd rows first, from the last on, then the even ones.
    const order = Array.from({ length: rows! }, (_, i) => i).toSorted(
      (a, b) => (b % 2) - (a % 2) || b - a,
    );
    return isInverse ? order.map((_, row) => order.indexOf(row)) : order;
  },
});

/** Two trees of a prompt of two tokens and responses of one and two, their rows from the last to the first. */
const twoTrees: Readonly<Record<'order' | 'sees' | 'seenBy', Given>> = {
  order: { dtype: 'i32', shape: '10', draw: () => [9, 8, 7, 6, 5, 4, 3, 2, 1, 0] },
  sees: {
    dtype: 'i32',
    shape: '10 4',
    draw: () => [
      ...[5, 7, 8, 10, 5, 7, 8, 9, 5, 8, 0, 0, 5, 7, 0, 0, 5, 6, 0, 0],
      ...[0, 2, 3, 5, 0, 2, 3, 4, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0],
    ],
  },
  seenBy: {
    dtype: 'i32',
    shape: '10 2',
    draw: () => [9, 10, 8, 10, 7, 8, 6, 10, 5, 10, 4, 5, 3, 5, 2, 3, 1, 5, 0, 5],
  },
};

/** Every op's cases; the compiler demands one entry an op. */
export const opCases: { readonly [K in OpName]: readonly [OpCase, ...OpCase[]] | OpCase[] } = {
  add: binary((g, a, b) => g.add(a, b)),
  sub: binary((g, a, b) => g.sub(a, b)),
  mul: binary((g, a, b) => g.mul(a, b)),
  div: binary((g, a, b) => g.div(a, b), { b: { draw: awayFromZero } }),
  min: binary((g, a, b) => g.min(a, b)),
  max: binary((g, a, b) => g.max(a, b)),
  pow: binary((g, a, b) => g.pow(a, b), { a: { draw: positive } }),
  neg: unary((g, x) => g.neg(x)),
  exp: unary((g, x) => g.exp(x)),
  log: unary((g, x) => g.log(x), positive),
  sqrt: unary((g, x) => g.sqrt(x), positive),
  reciprocal: unary((g, x) => g.reciprocal(x), awayFromZero),
  sigmoid: unary((g, x) => g.sigmoid(x)),
  silu: unary((g, x) => g.silu(x)),
  tanh: unary((g, x) => g.tanh(x)),
  erf: [...unary((g, x) => g.erf(x)), ...unary((g, x) => g.gelu(x))],
  abs: unary((g, x) => g.abs(x)),
  sign: unary((g, x) => g.sign(x)),
  sin: unary((g, x) => g.sin(x)),
  cos: unary((g, x) => g.cos(x)),
  floor: unary((g, x) => g.floor(x)),
  clip: unary((g, x) => g.clip(x, -0.5, 0.75)),
  cast: [
    ...unary((g, x) => g.cast(g.cast(x, 'f16'), 'f32')),
    opCase(
      { x: 'A B' },
      (g, { x }) => [g.cast(x, 'i64'), g.cast(x, 'i32'), g.cast(g.floor(x), 'bool')],
      'integers have none',
    ),
  ],
  equal: comparison((g, a, b) => g.equal(a, b)),
  less: comparison((g, a, b) => g.less(a, b)),
  greater: comparison((g, a, b) => g.greater(a, b)),
  and: logical((g, a, b) => g.and(a, b)),
  or: logical((g, a, b) => g.or(a, b)),
  not: [
    opCase(
      { x: { dtype: 'bool', shape: 'A', draw: coin } },
      (g, { x }) => [g.not(x)],
      'its output is bool',
    ),
  ],
  where: [
    opCase(
      { condition: { dtype: 'bool', shape: 'B 1', draw: coin }, a: 'A B C', b: 'C' },
      (g, { condition, a, b }) => [g.where(condition, a, b)],
    ),
  ],
  matMul: [
    opCase({ a: 'A B C', b: 'A C D' }, (g, { a, b }) => [g.matMul(a, b)]),
    opCase({ a: 'A C B', b: 'A D C' }, (g, { a, b }) => [
      g.matMul(a, b, { transA: true, transB: true, alpha: 0.5 }),
    ]),
    opCase({ a: 'A B C', b: 'D C' }, (g, { a, b }) => [g.matMul(a, b, { transB: true })]),
    opCase({ a: 'A B C', b: 'C D' }, (g, { a, b }) => [g.matMul(a, b)]),
    opCase({ a: 'C B', b: 'A V C D' }, (g, { a, b }) => [
      g.matMul(a, b, { transA: true, alpha: -2 }),
    ]),
  ],
  gemm: [
    opCase({ x: 'A C', w: 'D C', c: 'D' }, (g, { x, w, c }) => [g.linear(x, w, c)]),
    opCase({ x: 'A B C', w: 'D C' }, (g, { x, w }) => [g.linear(x, w)]),
    ...[false, true].flatMap((transA) =>
      [false, true].map((transB): OpCase =>
        opCase(
          { a: transA ? 'C A' : 'A C', b: transB ? 'D C' : 'C D', c: transA ? 'A 1' : 'A D' },
          (g, { a, b, c }) => [g.gemm(a, b, { transA, transB, alpha: 0.5, c: c })],
        ),
      ),
    ),
  ],
  groupedProduct: [false, true].flatMap((transB): OpCase[] => [
    ...groupsOfRows.map((rows) =>
      opCase(
        { x: `${rows} 72`, counts: rowsOf(rows), ...matrices(transB ? '136 72' : '72 136') },
        (g, { x, counts, u, v, w }) => [g.groupedProduct(x, counts, [u, v, w], { transB })],
        'that of few rows is compared',
      ),
    ),
    opCase(
      { x: 'A C', counts: someRows, ...matrices(transB ? 'D C' : 'C D') },
      (g, { x, counts, u, v, w }) => [g.groupedProduct(x, counts, [u, v, w], { transB })],
    ),
  ]),
  groupedOuterProduct: [
    ...groupsOfRows.map((rows) =>
      opCase(
        { a: `${rows} 40`, b: `${rows} 136`, counts: rowsOf(rows) },
        (g, { a, b, counts }) => [...g.groupedOuterProduct(a, b, counts)],
        'it is one',
      ),
    ),
    opCase(
      {
        a: 'A C',
        b: 'A D',
        counts: someRows,
        ...matrices({ dtype: 'f32', shape: 'C D' } as const),
      },
      (g, { a, b, counts, u, v, w }) => [...g.groupedOuterProduct(a, b, counts, [u, v, w])],
      'it is one',
    ),
    opCase(
      { a: 'A C', b: 'A D', counts: someRows },
      (g, { a, b, counts }) => [...g.groupedOuterProduct(a, b, counts)],
      'it is one',
    ),
  ],
  reduceSum: reduction((g, x, axes, keepDims) => g.reduceSum(x, axes, keepDims)),
  reduceMean: reduction((g, x, axes, keepDims) => g.reduceMean(x, axes, keepDims)),
  reduceMax: reduction((g, x, axes, keepDims) => g.reduceMax(x, axes, keepDims)),
  softmax: [-1, 0].map((axis) => opCase({ x: 'A B C' }, (g, { x }) => [g.softmax(x, axis)])),
  logSoftmax: [
    ...[-1, 1].map((axis) => opCase({ x: 'A B C' }, (g, { x }) => [g.logSoftmax(x, axis)])),
    opCase(
      // Its gradient comes from picked elements alone.
      { x: 'A V', i: index('A 2', 'V') },
      (g, { x, i }) => [g.gatherElements(g.logSoftmax(x), i, 1)],
    ),
  ],
  transpose: [
    opCase({ x: 'A B C' }, (g, { x }) => [g.transpose(x, [2, 0, 1]), g.transpose(x, [0, -1, 1])]),
  ],
  reshape: [
    opCase({ x: 'A B 6' }, (g, { x }, dim) => [
      g.reshape(x, [dim('A'), dim('B'), 2, -1]),
      g.reshape(x, [-1, 3]),
      g.reshape(x, [2, dim('B'), 3, dim('A')]),
      g.unsqueeze(x, [0, 2]),
      g.squeeze(g.unsqueeze(x, [-1]), [3]),
    ]),
  ],
  expand: [
    opCase({ x: 'B 1' }, (g, { x }, dim) => [g.expand(x, [3, dim('B'), 2])]),
    opCase({ x: 'B 1', like: { shape: 'A', hasGradient: false } }, (g, { x, like }, dim) => [
      g.mul(g.expand(x, [dim('B'), dim('A')]), like),
    ]),
  ],
  concat: [opCase({ a: 'A B', b: 'A C', c: 'A 2' }, (g, { a, b, c }) => [g.concat([a, b, c], 1)])],
  slice: [
    opCase({ x: 'A 5 B' }, (g, { x }) => [
      g.slice(x, { axis: 1, start: 1, end: 4 }),
      g.slice(x, { axis: 1, start: -2 }),
      g.slice(x, { axis: 1, end: -1 }),
      g.slice(x, { axis: 1, start: -9, end: -1 }),
    ]),
    opCase({ x: 'A B' }, (g, { x }) => [
      g.slice(x, { axis: 0, start: 1 }),
      g.slice(x, { axis: 0, end: -1 }),
      g.slice(x, { axis: 1, start: -1 }),
      g.slice(x, { axis: 1, end: 2 }),
    ]),
  ],
  split: [
    opCase({ x: 'A 5 B' }, (g, { x }) => {
      const [first, , last] = g.split(x, [2, 1, 2], 1);
      return [first!, g.mul(last!, last!)];
    }),
    opCase({ a: 'A B', b: 'C B' }, (g, { a, b }, dim) => {
      const both = g.concat([a, b], 0);
      const [head, tail] = g.split(both, [dim('C'), dim('A')], 0);
      return [g.mul(head!, b), g.mul(tail!, tail!)];
    }),
  ],
  pad: [
    opCase({ x: 'A 3', like: { shape: 'B', hasGradient: false } }, (g, { x }, dim) => {
      const size = dim('A');
      const wide = typeof size === 'number' ? size + 4 : `${size}+4`;
      return [g.pad(x, 1, 2, 7), g.pad(x, 0, 1, wide)];
    }),
    opCase({ x: 'A 2', like: { shape: 'B', hasGradient: false } }, (g, { x }, dim) => {
      const [a, b] = [dim('A'), dim('B')];
      return [g.pad(x, 0, b, typeof a === 'number' ? a + Number(b) : `${a}+${b}`)];
    }),
  ],
  size: [
    opCase(
      { x: 'A B' },
      (g, { x }) => [g.size(x, [0, 1], 'f32'), g.size(x, [1], 'i64')],
      'it has no inputs',
    ),
  ],
  gather: [
    opCase({ x: 'V B', i: index('A', 'V') }, (g, { x, i }) => [g.gather(x, i)]),
    opCase({ x: 'B V 2', i: index('A C', 'V') }, (g, { x, i }) => [g.gather(x, i, 1)]),
    opCase({ x: 'V B', i: index('', 'V') }, (g, { x, i }) => [g.gather(x, i)]),
  ],
  addRows: ['', 'B', 'B 16'].map((row) =>
    opCase({ data: `V ${row}`, i: index('A', 'V'), rows: `A ${row}` }, (g, { data, i, rows }) => [
      g.addRows(data, i, rows),
    ]),
  ),
  permuteRows: [
    opCase(
      // Rows go to every other place, so that half of the places hold zeros.
      {
        x: 'A B 2',
        there: {
          dtype: 'i64',
          shape: 'A*2',
          draw: (_rng, [length]) =>
            Array.from({ length: length! }, (_, i) => (i % 2 === 0 ? length! / 2 - 1 - i / 2 : -1)),
        },
        back: {
          dtype: 'i64',
          shape: 'A',
          draw: (_rng, [length]) =>
            Array.from({ length: length! }, (_, i) => 2 * (length! - 1 - i)),
        },
      },
      (g, { x, there, back }) => [g.permuteRows(x, there, back)],
    ),
    opCase(
      // Row 0 goes nowhere.
      {
        x: '4 B',
        there: { dtype: 'i64', shape: '3', draw: () => [3, 1, 2] },
        back: { dtype: 'i64', shape: '4', draw: () => [-1, 1, 2, 0] },
      },
      (g, { x, there, back }) => [g.permuteRows(x, there, back)],
    ),
  ],
  gatherElements: [
    opCase({ x: 'A V', i: index('A 1', 'V') }, (g, { x, i }) => [g.gatherElements(x, i, 1)]),
    opCase({ x: 'V B 2', i: index('A B 2', 'V') }, (g, { x, i }) => [g.gatherElements(x, i, 0)]),
  ],
  scatterElements: [
    opCase(
      {
        data: 'A V',
        i: index('A B', 'V'),
        updates: 'A B',
      },
      (g, { data, i, updates }) => [g.scatterElements(data, i, updates, 1)],
    ),
  ],
  topK: [
    opCase(
      // With equals among them, of which the first come first.
      { x: { shape: 'A B 7', draw: small } },
      (g, { x }) => [...g.topK(x, 3), ...g.topK(x, 7)],
      'places have none',
    ),
    opCase(
      { x: { shape: 'A 150', draw: small } },
      (g, { x }) => [...g.topK(x, 8)],
      'places have none',
    ),
    opCase(
      { x: { shape: 'A V', draw: distinct }, like: 'V' },
      (g, { x }, dim) => [...g.topK(x, dim('V'))],
      'places have none',
    ),
  ],
  rowOrder: [
    opCase(
      // Group 2 has no rows.
      { x: { dtype: 'i64', shape: 'A*5', draw: among([0, 1, 3]) } },
      (g, { x }) => [...g.rowOrder(x, 4)],
      'places have none',
    ),
    opCase(
      { x: { dtype: 'i64', shape: '2500', draw: among([...Array(37).keys()]) } },
      (g, { x }) => [...g.rowOrder(x, 40)],
      'places have none',
    ),
  ],
  spreadRows: ['A B', 'A 2 8'].map((x) =>
    opCase(
      { x, order: orderOfRows(false), inverse: orderOfRows(true) },
      (g, { x, order, inverse }) => [g.spreadRows(x, order, inverse, 2)],
    ),
  ),
  joinRows: ['A*2 B', 'A*2 2 8'].map((x) =>
    opCase(
      {
        x,
        order: orderOfRows(false),
        inverse: orderOfRows(true),
        like: { shape: 'A', hasGradient: false },
      },
      (g, { x, order, inverse }) => [g.joinRows(x, order, inverse, 2)],
    ),
  ),
  cumSum: [0, 1, -1].map((axis) =>
    opCase({ x: 'A B C' }, (g, { x }) => [g.cumSum(x, axis)], 'no loss is written with it'),
  ),
  rmsNorm: [
    opCase({ x: 'A 4', w: '4' }, (g, { x, w }) => [g.rmsNorm(x, w, 1e-6)]),
    opCase({ x: 'A B 6', w: '6' }, (g, { x, w }) => {
      const y = g.rmsNorm(g.mul(x, x), w, 1e-2);
      return [g.mul(y, y)];
    }),
  ],
  rotary: [{ inverse: false }, { inverse: true }, { heads: 2 }].map((options) =>
    opCase(
      {
        x: 'A 3 6',
        cos: { shape: 'A 3', hasGradient: false },
        sin: { shape: 'A 3', hasGradient: false },
      },
      (g, { x, cos, sin }) => [g.rotary(x, cos, sin, options)],
    ),
  ),
  attend: [
    opCase({ scores: 'A B', values: 'B 3' }, (g, { scores, values }) => [g.attend(scores, values)]),
    opCase({ scores: 'A 2 B C', values: 'A 2 C D' }, (g, { scores, values }) => {
      const mixed = g.attend(g.mul(scores, scores), values);
      return [g.mul(mixed, mixed)];
    }),
  ],
  tokenLogProbs: [
    opCase({ x: 'A 37', i: { dtype: 'i64', shape: 'A 1', draw: small } }, (g, { x, i }) => [
      g.tokenLogProbs(x, i, { gradient: x.dtype as FloatDType, banned: [] }),
      g.tokenLogProbs(x, i, { gradient: x.dtype as FloatDType, banned: [36, 7] }),
    ]),
  ],
  tokenLogProbsGradient: [
    opCase(
      // Four at a time, and a gradient of halves.
      {
        x: 'A 24',
        i: { dtype: 'i64', shape: 'A 1', draw: (_rng, [rows]) => Array<number>(rows!).fill(-2) },
        gradient: { dtype: 'f32', shape: 'A' },
      },
      (g, { x, i, gradient }) =>
        [[], [23, 8]].flatMap((banned) => {
          const attributes = { gradient: 'bf16', banned } as const;
          const outputs = g.apply('tokenLogProbs', [x, i], attributes);
          const inputs = [x, i, outputs[1]!, gradient];
          return [...outputs, g.apply('tokenLogProbsGradient', inputs, attributes)[0]!];
        }),
      'it is one',
    ),
  ],
  tokenEntropies: [
    opCase({ x: 'A 37' }, (g, { x }) => [
      g.tokenEntropies(x, { gradient: x.dtype as FloatDType, banned: [] }),
      g.tokenEntropies(x, { gradient: x.dtype as FloatDType, banned: [36, 7] }),
    ]),
  ],
  tokenEntropiesGradient: [
    opCase(
      // Four at a time, and a gradient of halves.
      { x: 'A 24', gradient: { dtype: 'f32', shape: 'A' } },
      (g, { x, gradient }) =>
        [[], [23, 8]].flatMap((banned) => {
          const attributes = { gradient: 'bf16', banned } as const;
          const [entropies, total] = g.apply('tokenEntropies', [x], attributes);
          const inputs = [x, total!, entropies!, gradient];
          const [result] = g.apply('tokenEntropiesGradient', inputs, attributes);
          return [entropies!, total!, result!];
        }),
      'it is one',
    ),
  ],
  packedAttention: [
    opCase({ joined: '10 6 18', ...twoTrees }, (g, { joined, order, sees, seenBy }) => {
      const places = { order: order, sees: sees, seenBy: seenBy };
      return [g.packedAttention(joined, places, { heads: 4, kvHeads: 1 })];
    }),
  ],
  packedAttentionGradient: [
    opCase(
      { joined: '10 6 16', ...twoTrees, gradient: '10 32' },
      (g, { joined, order, sees, seenBy, gradient }) => {
        const [inputs, heads] = [[joined, order, sees, seenBy], { heads: 2, kvHeads: 2 }] as const;
        const outputs = g.apply('packedAttention', inputs, heads);
        return [g.apply('packedAttentionGradient', [...inputs, ...outputs, gradient], heads)[0]!];
      },
      'it is one',
    ),
  ],
  cachedAttention: [
    { kvHeads: 2, group: 2, width: 4, pageRows: 5, hasBias: false },
    { kvHeads: 1, group: 3, width: 2, pageRows: 16, hasBias: true },
    // Sizes that tensor cores take.
    { kvHeads: 2, group: 1, width: 16, pageRows: 16, hasBias: true },
    { kvHeads: 1, group: 9, width: 48, pageRows: 32, hasBias: false },
    // So many heads that a block has all keys of one.
    { kvHeads: 96, group: 2, width: 16, pageRows: 16, hasBias: true },
  ].map(({ kvHeads, group, width, pageRows, hasBias }): OpCase => {
    const joined = (group + 2) * kvHeads * width;
    const cache: Given = { shape: `12 ${pageRows} ${kvHeads} ${width}`, draw: quarters };
    return opCase(
      {
        projected: { shape: `A ${joined}`, draw: quarters },
        cos: { dtype: 'f32', shape: `A ${width / 2}` },
        sin: { dtype: 'f32', shape: `A ${width / 2}` },
        keys: cache,
        values: cache,
        // No page is two sequences'.
        pages: {
          dtype: 'i32',
          shape: 'A 3',
          draw: (_, shape) => Array.from({ length: sizeOf(shape) }, (_, i) => (i * 5 + 2) % 12),
        },
        lengths: {
          dtype: 'i32',
          shape: 'A',
          draw: among([0, 3, pageRows - 1, pageRows, 3 * pageRows - 1]),
        },
        ...(hasBias ? { bias: { shape: `${joined}`, draw: quarters } } : ({} as { bias: Given })),
      },
      (g, { projected, cos, sin, keys, values, pages, lengths, bias }) => [
        ...g.cachedAttention(
          projected,
          { cos: cos, sin: sin },
          { keys: keys, values: values, pages: pages, lengths: lengths },
          0.5,
          bias,
        ),
      ],
      'only decoding uses it',
    );
  }),
  drawTokens: [
    opCase(
      {
        logits: { shape: 'A 300', draw: grid },
        rows: { dtype: 'i32', shape: 'C', draw: below('A') },
        banned: { dtype: 'i32', shape: 'B', draw: below('V') },
        uniform: { dtype: 'f32', shape: 'C 1', draw: among([0.0625, 0.3, 0.55, 0.97]) },
        topK: { dtype: 'f32', shape: 'C 1', draw: among([0, 1, 2, 5, 290]) },
        topP: { dtype: 'f32', shape: 'C 1', draw: among([0.1, 0.5, 0.9, 1]) },
      },
      (g, { logits, rows, banned, uniform, topK, topP }) => [
        g.drawTokens(logits, rows, banned, { uniform: uniform, topK: topK, topP: topP }),
      ],
      'no loss is written with it',
    ),
  ],
};

/** Draws an input's array for given sizes of the symbols; every float dtype has the numbers drawn. */
export function drawInput(
  rng: Rng,
  input: CaseInput,
  float: FloatDType,
  shape: readonly number[],
  sizes: Sizes,
): NdArray {
  const values = (input.draw ?? grid)(rng, shape, sizes);
  return { dtype: input.dtype ?? float, shape, data: Float64Array.from(values) };
}
