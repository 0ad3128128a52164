import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import { packedAttention, segmentInputs } from '../attention.ts';
import type { TextConfig } from './config.ts';

/** Parameters of one decoder layer, as the graphs name their inputs; q, k, v are joined. */
export interface LayerParameters {
  readonly inputNorm: Value;
  readonly qkvWeight: Value;
  readonly qkvBias: Value;
  readonly outputWeight: Value;
  readonly postNorm: Value;
  readonly gateWeight: Value;
  readonly upWeight: Value;
  readonly downWeight: Value;
}

/** Names of a decoder layer's parameter inputs. */
export const LAYER_PARAMETERS = [
  'inputNorm',
  'qkvWeight',
  'qkvBias',
  'outputWeight',
  'postNorm',
  'gateWeight',
  'upWeight',
  'downWeight',
] as const;

/** Declares a decoder layer's parameters as inputs, each name behind `prefix`. */
export function layerParameters(g: GraphBuilder, config: TextConfig, prefix = ''): LayerParameters {
  const { hiddenSize, heads, kvHeads, headDim, intermediateSize } = config;
  const qkv = (heads + 2 * kvHeads) * headDim;
  const parameter = (name: string, shape: readonly number[]): Value =>
    g.input(prefix + name, 'f32', shape);
  return {
    inputNorm: parameter('inputNorm', [hiddenSize]),
    qkvWeight: parameter('qkvWeight', [qkv, hiddenSize]),
    qkvBias: parameter('qkvBias', [qkv]),
    outputWeight: parameter('outputWeight', [hiddenSize, heads * headDim]),
    postNorm: parameter('postNorm', [hiddenSize]),
    gateWeight: parameter('gateWeight', [intermediateSize, hiddenSize]),
    upWeight: parameter('upWeight', [intermediateSize, hiddenSize]),
    downWeight: parameter('downWeight', [hiddenSize, intermediateSize]),
  };
}

/** Queries, keys and values of a layer's attention, rotated: `[T, heads, d]` each. */
export function projectQkv(
  g: GraphBuilder,
  hidden: Value,
  parameters: LayerParameters,
  rotary: { cos: Value; sin: Value },
  { heads, kvHeads, headDim, rmsNormEps }: TextConfig,
): { query: Value; key: Value; value: Value } {
  const tokens = hidden.shape[0]!;
  const normed = g.rmsNorm(hidden, parameters.inputNorm, rmsNormEps);
  const qkv = g.linear(normed, parameters.qkvWeight, parameters.qkvBias);
  const sizes = [heads * headDim, kvHeads * headDim, kvHeads * headDim];
  const [q, k, v] = g.split(qkv, sizes, 1) as [Value, Value, Value];
  return {
    query: g.rotary(g.reshape(q, [tokens, heads, headDim]), rotary.cos, rotary.sin),
    key: g.rotary(g.reshape(k, [tokens, kvHeads, headDim]), rotary.cos, rotary.sin),
    value: g.reshape(v, [tokens, kvHeads, headDim]),
  };
}

/** The second half of a layer: the attention's output joins the residual, then the gated MLP. */
export function finishLayer(
  g: GraphBuilder,
  hidden: Value,
  attended: Value,
  parameters: LayerParameters,
  { rmsNormEps }: TextConfig,
): Value {
  const residual = g.add(hidden, g.linear(attended, parameters.outputWeight));
  const normed = g.rmsNorm(residual, parameters.postNorm, rmsNormEps);
  const gate = g.silu(g.linear(normed, parameters.gateWeight));
  const up = g.linear(normed, parameters.upWeight);
  return g.add(residual, g.linear(g.mul(gate, up), parameters.downWeight));
}

/**
 * One decoder layer over packed tokens: `hidden [T, D]` to `output [T, D]`.
 *
 * @param keepKeysValues also output the rotated keys and the values, `[T, K, d]`, to fill a cache with
 */
export function decoderLayerGraph(config: TextConfig, keepKeysValues = false): Graph {
  const g = new GraphBuilder(keepKeysValues ? 'decoder-prefill' : 'decoder-layer');
  const hidden = g.input('hidden', 'f32', ['T', config.hiddenSize]);
  const rotary = {
    cos: g.input('rotary.cos', 'f32', ['T', config.headDim / 2]),
    sin: g.input('rotary.sin', 'f32', ['T', config.headDim / 2]),
  };
  const segments = segmentInputs(g);
  const parameters = layerParameters(g, config);
  const projected = projectQkv(g, hidden, parameters, rotary, config);
  const attended = packedAttention(g, projected, segments, config);
  g.output('output', finishLayer(g, hidden, attended, parameters, config));
  if (keepKeysValues) {
    g.output('key', projected.key);
    g.output('value', projected.value);
  }
  return g.build();
}

/**
 * The head: log-probabilities of given next tokens, at a temperature, for a chunk of `R` rows.
 *
 * Inputs `hidden [R, D]`, `targets i64 [R, 1]`, `inverseTemperature []`; output `logProbs [R]`.
 */
export function headGraph(config: TextConfig): Graph {
  const g = new GraphBuilder('head');
  const hidden = g.input('hidden', 'f32', ['R', config.hiddenSize]);
  const targets = g.input('targets', 'i64', ['R', 1]);
  const inverseTemperature = g.input('inverseTemperature', 'f32', []);
  const norm = g.input('finalNorm', 'f32', [config.hiddenSize]);
  const head = g.input('headWeight', 'f32', [config.vocabSize, config.hiddenSize]);
  // The temperature divides the rows rather than the logits, which are far more.
  const tempered = g.mul(g.rmsNorm(hidden, norm, config.rmsNormEps), inverseTemperature);
  const logProbs = g.logSoftmax(g.linear(tempered, head), -1);
  g.output('logProbs', g.reshape(g.gatherElements(logProbs, targets, 1), ['R']));
  return g.build();
}

/** Names of the head's parameter inputs. */
export const HEAD_PARAMETERS = ['finalNorm', 'headWeight'] as const;
