import { nearestIn, type FloatDType } from '../../../tensor/dtype.ts';
import { isFloat, type Dim, type Value, type ValueType } from '../../ir.ts';
import { productDim, sumDim } from '../../dim.ts';
import { dtypeError, sameShape, shapeError } from '../../shape.ts';
import { blank } from '../array.ts';
import { cachedAttentionKernels, PARTS } from './cached-attention-kernels.ts';
import type { OpFamily } from '../op.ts';

/** Attributes of attention over a cache. */
export interface CachedAttentionAttributes {
  /** `scale` is the factor of the scores. */
  readonly cachedAttention: { readonly scale: number };
}

/** The score of a place that a token does not see. */
const UNSEEN_SCORE = -1e30;

/**
 * Attention of one new token of each of B sequences over the sequence's cache, the token included.
 *
 * A cache lies in pages of R rows, in any order: token t stands in row t % R of page t / R of its sequence.
 *
 * Inputs:
 * - `projected [B, (H + 2K)·d]`, the token's queries, keys and values, not rotated
 * - cosines and sines of the token's angles, f32 `[B, d/2]` each
 * - `keys` and `values [N, R, K, d]` of all pages
 * - `pages i32 [B, M]`, the pages of each sequence
 * - `lengths i32 [B]`, the number of tokens before this one
 * - `bias [(H + 2K)·d]`, added to `projected`; may be left out
 *
 * Outputs: `attended [B, H·d]`; keys and values with the token's, its keys rotated; two of memory that kernels need.
 */
export const cachedAttention: OpFamily<CachedAttentionAttributes> = {
  cachedAttention: {
    isCostly: true,
    infer(inputs) {
      const { projected, cos, sin, keys, values, pages, lengths, bias } = inputsByName(inputs);
      const batch = projected.shape[0]!;
      const [, , kvHeads, width] = keys.shape;
      const heads = headsOf(projected, keys);
      const half = [batch, Number(width) / 2];
      const isGrouped = Number.isInteger(heads) && heads > 0 && heads % Number(kvHeads) === 0;
      const fits =
        keys.shape.length === 4 &&
        keys.shape.slice(1).every((size) => typeof size === 'number') &&
        isGrouped &&
        Number(width) % 2 === 0 &&
        [cos, sin].every(({ shape }) => sameShape(shape, half)) &&
        sameShape(values.shape, keys.shape) &&
        pages.shape.length === 2 &&
        [pages, lengths].every(({ shape }) => shape[0] === batch) &&
        (bias === undefined || sameShape(bias.shape, projected.shape.slice(1)));
      if (!fits) {
        const want =
          'wants [B, (H + 2K)·d], two of [B, d/2], two of [N, R, K, d], [B, M], [B] and perhaps [(H + 2K)·d]';
        throw shapeError('cachedAttention', want, inputs);
      }
      const { dtype } = projected;
      const areLike =
        [keys, values, bias ?? keys].every((value) => value.dtype === dtype) && isFloat(dtype);
      const areAngles = cos.dtype === 'f32' && sin.dtype === 'f32';
      if (!areLike || !areAngles || lengths.dtype !== 'i32' || pages.dtype !== 'i32') {
        throw dtypeError('cachedAttention', 'wants one float dtype, f32 angles, i32', inputs);
      }
      const group = heads / Number(kvHeads);
      const parts = sumDim([productDim([batch, kvHeads!]), PARTS]);
      return [
        { dtype, shape: [batch, heads * Number(width)] },
        { dtype, shape: keys.shape },
        { dtype, shape: keys.shape },
        { dtype: 'f32', shape: [parts, group, width!] },
        { dtype: 'f32', shape: [parts, group, 2] },
      ];
    },
    expand({ inputs, attributes: { scale }, outputs }, g) {
      const { cos, sin, keys, values, pages, lengths, ...given } = inputsByName(inputs);
      const projected =
        given.bias === undefined ? given.projected : g.add(given.projected, given.bias);
      const [batch, pageCount] = pages.shape as [Dim, Dim];
      const [, pageRows, kvHeads, width] = keys.shape as [Dim, number, number, number];
      const heads = headsOf(projected, keys);
      const rotated = heads + kvHeads;
      const [qk, v] = g.split(projected, [rotated * width, kvHeads * width], 1) as [Value, Value];
      const turned = g.rotary(g.reshape(qk, [batch, rotated, width]), cos, sin);
      const [query, key] = g.split(turned, [heads, kvHeads], 1) as [Value, Value];
      const own = g.unsqueeze(g.cast(lengths, 'f32'), [1]);
      const rows = g.scalar(pageRows);
      const nth = g.floor(g.div(own, rows));
      const page = g.cast(g.gatherElements(pages, g.cast(nth, 'i32'), 1), 'f32');
      const row = g.add(g.mul(page, rows), g.sub(own, g.mul(nth, rows)));
      const place = g.squeeze(g.cast(row, 'i32'), [1]);
      const next = (token: Value, cache: Value): Value => {
        const flat = g.reshape(cache, [productDim(cache.shape.slice(0, 2)), kvHeads * width]);
        const placed = g.placeRows(g.reshape(token, [batch, kvHeads * width]), place, flat);
        return g.reshape(placed, cache.shape);
      };
      const [nextKeys, nextValues] = [next(key, keys), next(v, values)];
      const capacity = productDim([pageCount, pageRows]);
      const byHead = (cache: Value): Value => {
        const rows = g.reshape(g.gather(cache, pages), [batch, capacity, kvHeads, width]);
        return g.transpose(rows, [0, 2, 1, 3]);
      };
      const queries = g.reshape(query, [batch, kvHeads, heads / kvHeads, width]);
      const products = { transB: true, alpha: scale, to: 'f32' } as const;
      const scores = g.matMul(queries, byHead(nextKeys), products);
      const places = g.sub(g.cumSum(g.expand(g.scalar(1), [1, capacity]), 1), g.scalar(1));
      const isSeen = g.reshape(g.not(g.greater(places, own)), [batch, 1, 1, capacity]);
      const weights = g.softmax(g.where(isSeen, scores, g.scalar(UNSEEN_SCORE)), -1);
      const mixed = g.matMul(g.cast(weights, projected.dtype), byHead(nextValues));
      const scratch = outputs.slice(3).map(({ shape }) => g.zeros('f32', shape));
      return [g.reshape(mixed, [batch, heads * width]), nextKeys, nextValues, ...scratch];
    },
    steps({ inputs, attributes: { scale } }) {
      const { projected, keys, bias } = inputsByName(inputs);
      const [, pageRows, kvHeads, headDim] = keys.shape as [Dim, number, number, number];
      const sizes = { heads: headsOf(projected, keys), kvHeads, headDim, pageRows, scale };
      return [
        { input: 3, output: 1 },
        { input: 4, output: 2 },
        ...cachedAttentionKernels(projected.dtype as FloatDType, sizes, bias !== undefined),
      ];
    },
    evaluate([projected, cos, sin, keys, values, pages, lengths, bias], { scale }) {
      const [batch, mostPages] = pages!.shape as [number, number];
      const [, pageRows, kvHeads, width] = keys!.shape as [number, number, number, number];
      const heads = projected!.shape[1]! / width - 2 * kvHeads;
      const [group, half] = [heads / kvHeads, width / 2];
      const dtype = projected!.dtype as FloatDType;
      const attended = blank(dtype, [batch, heads * width]);
      const nextKeys = { ...keys!, data: keys!.data.slice() };
      const nextValues = { ...values!, data: values!.data.slice() };
      const cacheRow = (row: number, place: number, head: number): number => {
        const page = pages!.data[row * mostPages + Math.floor(place / pageRows)]!;
        return ((page * pageRows + (place % pageRows)) * kvHeads + head) * width;
      };
      for (let row = 0; row < batch; row++) {
        const length = lengths!.data[row]!;
        const feature = (head: number, j: number): number => {
          const at = head * width + j;
          const x = projected!.data[row * (heads + 2 * kvHeads) * width + at]!;
          return bias === undefined ? x : nearestIn(dtype, x + bias.data[at]!);
        };
        // Rotated rows are rounded to the dtype, as those in the cache are.
        const turned = (head: number, j: number): number => {
          const angle = row * half + (j % half);
          const [c, s] = [cos!.data[angle]!, sin!.data[angle]!];
          const other = j < half ? -feature(head, j + half) : feature(head, j - half);
          return nearestIn(dtype, feature(head, j) * c + other * s);
        };
        for (let head = 0; head < kvHeads; head++) {
          for (let j = 0; j < width; j++) {
            nextKeys.data[cacheRow(row, length, head) + j] = turned(heads + head, j);
            nextValues.data[cacheRow(row, length, head) + j] = feature(heads + kvHeads + head, j);
          }
        }
        for (let head = 0; head < heads; head++) {
          const kvHead = Math.floor(head / group);
          const query = Array.from({ length: width }, (_, j) => turned(head, j));
          const scores = Array.from({ length: length + 1 }, (_, place) => {
            const at = cacheRow(row, place, kvHead);
            return scale * query.reduce((sum, q, j) => sum + q * nextKeys.data[at + j]!, 0);
          });
          const top = Math.max(...scores);
          const weights = scores.map((score) => Math.exp(score - top));
          const total = weights.reduce((a, b) => a + b, 0);
          for (const [place, weight] of weights.entries()) {
            const at = cacheRow(row, place, kvHead);
            for (let j = 0; j < width; j++) {
              attended.data[(row * heads + head) * width + j]! +=
                (weight / total) * nextValues.data[at + j]!;
            }
          }
        }
      }
      const parts = batch * kvHeads + PARTS;
      const scratch = [blank('f32', [parts, group, width]), blank('f32', [parts, group, 2])];
      return [attended, nextKeys, nextValues, ...scratch];
    },
  },
};

/** The inputs of the op by their names. */
function inputsByName<V extends ValueType>(inputs: readonly V[]) {
  const [projected, cos, sin, keys, values, pages, lengths, bias] = inputs as [
    ...[V, V, V, V, V, V, V],
    V | undefined,
  ];
  return { projected, cos, sin, keys, values, pages, lengths, bias };
}

/** Number of query heads, from the width of the projections and the shape of a cache. */
function headsOf(projected: ValueType, keys: ValueType): number {
  return Number(projected.shape[1]) / Number(keys.shape[3]) - 2 * Number(keys.shape[2]);
}
