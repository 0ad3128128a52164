/** Graphs of a model's heads: from hidden rows to log-probabilities, values, distributions or logits. */
import { GraphBuilder } from '../graph/builder.ts';
import type { Graph, Value } from '../graph/ir.ts';
import { BANNED_BIAS } from '../graph/ops/vocabulary.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { zeros, type Tensor } from '../tensor/tensor.ts';
import { DecodeLayout, type DecodeForm } from './decode-form.ts';
import type { GraphForm } from './graph-form.ts';
import type { TextConfig } from './model-config.ts';

/**
 * Rows as the factor of a head's product: normed, and divided by the temperature. Dividing rows costs less than dividing
 * logits, of which there are far more.
 */
function temperedRows(
  g: GraphBuilder,
  { hiddenSize, rmsNormEps }: TextConfig,
  hidden: Value,
  inverseTemperature: Value,
): Value {
  const norm = g.input('finalNorm', hidden.dtype, [hiddenSize]);
  return g.inFloat32([hidden, norm], (rows, weight) =>
    g.mul(g.rmsNorm(rows, weight, rmsNormEps), inverseTemperature),
  );
}

function headWeight(g: GraphBuilder, config: TextConfig, dtype: FloatDType): Value {
  return g.input('headWeight', dtype, [config.vocabSize, config.hiddenSize]);
}

/** Makes a bias f32 `[V]` of the logits that takes all probability from banned tokens. */
export function biasAgainst(banned: readonly number[], { vocabSize }: TextConfig): Tensor<'f32'> {
  const bias = zeros('f32', [vocabSize]);
  for (const token of banned) bias.data[token] = BANNED_BIAS;
  return bias;
}

/** Options of the head of a policy. */
export interface HeadOptions {
  readonly withEntropies?: boolean;
  /** Tokens that the policy never gives a probability. */
  readonly banned?: readonly number[];
}

/**
 * The head of a policy: log-probabilities of given next tokens, at a temperature, for a chunk of `R` rows.
 *
 * Inputs `hidden [R, D]`, `targets i64 [R, 1]`, `inverseTemperature f32 []`; output `logProbs f32 [R]`. With entropies
 * there is a second output `entropies f32 [R]`, in nats, of the distributions at that temperature. The distributions are
 * over the tokens that are not banned.
 *
 * @param dtype dtype of hidden rows and weights; logits and log-probabilities are f32
 */
export function headGraph(
  config: TextConfig,
  dtype: FloatDType = 'f32',
  form: GraphForm = 'composed',
  { withEntropies = false, banned = [] }: HeadOptions = {},
): Graph {
  const g = new GraphBuilder(withEntropies ? 'head-entropies' : 'head');
  const hidden = g.input('hidden', dtype, ['R', config.hiddenSize]);
  const targets = g.input('targets', 'i64', ['R', 1]);
  const rows = temperedRows(g, config, hidden, g.input('inverseTemperature', 'f32', []));
  const weight = headWeight(g, config, dtype);
  if (form === 'fused') {
    const logits = g.gemm(rows, weight, { transB: true, to: 'f32' });
    const attributes = { gradient: dtype, banned };
    g.output('logProbs', g.tokenLogProbs(logits, targets, attributes));
    if (withEntropies) g.output('entropies', g.tokenEntropies(logits, attributes));
  } else {
    const bias = banned.length === 0 ? {} : { c: g.constant(biasAgainst(banned, config)) };
    const all = g.logSoftmax(g.gemm(rows, weight, { transB: true, to: 'f32', ...bias }), -1);
    g.output('logProbs', g.reshape(g.gatherElements(all, targets, 1), ['R']));
    if (withEntropies) g.output('entropies', g.neg(g.reduceSum(g.mul(g.exp(all), all), [-1])));
  }
  return g.build();
}

/**
 * The head of a value model: one value for each row of a chunk of `R` rows.
 *
 * Input `hidden [R, D]`; output `values f32 [R]`.
 *
 * @param dtype dtype of hidden rows and weights
 */
export function valueHeadGraph(config: TextConfig, dtype: FloatDType = 'f32'): Graph {
  const g = new GraphBuilder('value-head');
  const hidden = g.input('hidden', dtype, ['R', config.hiddenSize]);
  const norm = g.input('finalNorm', dtype, [config.hiddenSize]);
  const weight = g.input('scoreWeight', dtype, [1, config.hiddenSize]);
  const bias = g.input('scoreBias', dtype, [1]);
  const normed = g.rmsNorm(hidden, norm, config.rmsNormEps);
  const products = g.gemm(normed, weight, { transB: true, to: 'f32' });
  const values = g.add(products, g.cast(bias, 'f32'));
  g.output('values', g.reshape(values, ['R']));
  return g.build();
}

/**
 * The token distribution after each of `B` hidden rows or columns:
 * `softmax(norm(hidden) · headᵀ / temperature + logitBias)`.
 *
 * Inputs: `hidden` in the given form, `logitBias f32 [V]` or, in columns, `[V, 1]`, `inverseTemperature f32 [B, 1]`,
 * the head's parameters. Outputs: `logits f32 [B, V]`, and their softmax, `probabilities f32 [B, V]`.
 *
 * @param dtype dtype of hidden rows and weights; logits are f32
 */
export function distributionGraph(
  config: TextConfig,
  dtype: FloatDType = 'f32',
  form: DecodeForm = 'rows',
): Graph {
  const g = new GraphBuilder(`distribution-${form}`);
  const layout = new DecodeLayout(g, form);
  const hidden = g.input('hidden', dtype, layout.shape(config.hiddenSize));
  const bias = g.input('logitBias', 'f32', layout.perFeature(config.vocabSize));
  const inverseTemperature = g.input('inverseTemperature', 'f32', ['B', 1]);
  const rows = temperedRows(g, config, layout.transposed(hidden), inverseTemperature);
  const products = layout.ofRows(headWeight(g, config, dtype), rows, bias, 'f32');
  const logits = layout.transposed(products);
  g.output('probabilities', g.softmax(logits, -1));
  g.output('logits', logits);
  return g.build();
}

/**
 * The logits of the next token after each of `B` hidden rows, divided by its temperature:
 * `norm(hidden) · headᵀ / temperature`.
 *
 * Inputs: `hidden [B, D]`, `inverseTemperature f32 [B, 1]`, the head's parameters. Output: `logits f32 [B, V]`.
 *
 * @param dtype dtype of hidden rows and weights
 */
export function logitsGraph(config: TextConfig, dtype: FloatDType = 'f32'): Graph {
  const g = new GraphBuilder('logits');
  const hidden = g.input('hidden', dtype, ['B', config.hiddenSize]);
  const inverseTemperature = g.input('inverseTemperature', 'f32', ['B', 1]);
  const rows = temperedRows(g, config, hidden, inverseTemperature);
  g.output('logits', g.gemm(rows, headWeight(g, config, dtype), { transB: true, to: 'f32' }));
  return g.build();
}
