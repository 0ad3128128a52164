import { GraphBuilder } from '../graph/builder.ts';
import type { Graph } from '../graph/ir.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { DecodeSheet, type DecodeForm } from './decode-form.ts';
import type { GraphForm } from './graph-form.ts';
import type { TextConfig } from './model-config.ts';

/**
 * The head: log-probabilities of given next tokens, at a temperature, for a chunk of `R` rows.
 *
 * Inputs `hidden [R, D]`, `targets i64 [R, 1]`, `inverseTemperature f32 []`; output `logProbs f32 [R]`.
 *
 * @param dtype of hidden rows and weights; logits and log-probabilities are f32
 */
export function headGraph(
  config: TextConfig,
  dtype: FloatDType = 'f32',
  form: GraphForm = 'composed',
): Graph {
  const g = new GraphBuilder('head');
  const hidden = g.input('hidden', dtype, ['R', config.hiddenSize]);
  const targets = g.input('targets', 'i64', ['R', 1]);
  const inverseTemperature = g.input('inverseTemperature', 'f32', []);
  const norm = g.input('finalNorm', dtype, [config.hiddenSize]);
  const head = g.input('headWeight', dtype, [config.vocabSize, config.hiddenSize]);
  // The temperature divides the rows rather than the logits, which are far more.
  const tempered = g.inFloat32([hidden, norm], (rows, weight) =>
    g.mul(g.rmsNorm(rows, weight, config.rmsNormEps), inverseTemperature),
  );
  const logits = g.gemm(tempered, head, { transB: true, to: 'f32' });
  const logProbs =
    form === 'fused'
      ? g.tokenLogProbs(logits, targets, dtype)
      : g.reshape(g.gatherElements(g.logSoftmax(logits, -1), targets, 1), ['R']);
  g.output('logProbs', logProbs);
  return g.build();
}

/**
 * The head of a value model: one number a row, for a chunk of `R` rows.
 *
 * Input `hidden [R, D]`; output `values f32 [R]`.
 *
 * @param dtype of hidden rows and weights
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
 * the head's parameters. Output: `probabilities f32 [B, V]`.
 *
 * @param dtype of hidden rows and weights; logits are f32
 */
export function distributionGraph(
  config: TextConfig,
  form: DecodeForm,
  dtype: FloatDType = 'f32',
): Graph {
  const g = new GraphBuilder(`distribution-${form}`);
  const sheet = new DecodeSheet(g, form);
  const hidden = g.input('hidden', dtype, sheet.shape(config.hiddenSize));
  const norm = g.input('finalNorm', dtype, [config.hiddenSize]);
  const head = g.input('headWeight', dtype, [config.vocabSize, config.hiddenSize]);
  const bias = g.input('logitBias', 'f32', sheet.perFeature(config.vocabSize));
  const inverseTemperature = g.input('inverseTemperature', 'f32', ['B', 1]);
  // The temperature divides the rows rather than the logits, which are far more.
  const tempered = g.inFloat32([sheet.toRows(hidden), norm], (rows, weight) =>
    g.mul(g.rmsNorm(rows, weight, config.rmsNormEps), inverseTemperature),
  );
  const logits = sheet.ofRows(head, tempered, bias, 'f32');
  g.output('probabilities', g.softmax(sheet.toRows(logits), -1));
  return g.build();
}

/** The token distribution after each of `B` hidden rows. */
export function distributionOfRows(config: TextConfig, dtype: FloatDType = 'f32'): Graph {
  return distributionGraph(config, 'rows', dtype);
}

/**
 * The logits of the next token after each of `B` hidden rows, over its temperature: `norm(hidden) · headᵀ / temperature`.
 *
 * Inputs: `hidden [B, D]`, `inverseTemperature f32 [B, 1]`, the head's parameters. Output: `logits f32 [B, V]`.
 *
 * @param dtype of hidden rows and weights
 */
export function logitsGraph(config: TextConfig, dtype: FloatDType = 'f32'): Graph {
  const g = new GraphBuilder('logits');
  const hidden = g.input('hidden', dtype, ['B', config.hiddenSize]);
  const norm = g.input('finalNorm', dtype, [config.hiddenSize]);
  const head = g.input('headWeight', dtype, [config.vocabSize, config.hiddenSize]);
  const inverseTemperature = g.input('inverseTemperature', 'f32', ['B', 1]);
  // The temperature divides the rows rather than the logits, which are far more.
  const tempered = g.inFloat32([hidden, norm], (rows, weight) =>
    g.mul(g.rmsNorm(rows, weight, config.rmsNormEps), inverseTemperature),
  );
  g.output('logits', g.gemm(tempered, head, { transB: true, to: 'f32' }));
  return g.build();
}
