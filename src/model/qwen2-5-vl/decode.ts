import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import type { TextConfig } from './config.ts';
import { finishLayer, layerParameters, projectQkv } from './decoder.ts';

/**
 * The token distribution of `B` hidden rows: `softmax((norm(hidden) · headᵀ + logitBias) / temperature)`.
 *
 * Inputs `logitBias [V]`, `inverseTemperature [B, 1]`; returns `[B, V]`.
 */
function distribution(g: GraphBuilder, hidden: Value, config: TextConfig): Value {
  const norm = g.input('finalNorm', 'f32', [config.hiddenSize]);
  const head = g.input('headWeight', 'f32', [config.vocabSize, config.hiddenSize]);
  const bias = g.input('logitBias', 'f32', [config.vocabSize]);
  const inverseTemperature = g.input('inverseTemperature', 'f32', ['B', 1]);
  const logits = g.linear(g.rmsNorm(hidden, norm, config.rmsNormEps), head, bias);
  return g.softmax(g.mul(logits, inverseTemperature), -1);
}

/** The distribution of the token after each of `hidden [B, D]`, the last rows of prefilled prompts. */
export function firstTokenGraph(config: TextConfig): Graph {
  const g = new GraphBuilder('first-token');
  const hidden = g.input('hidden', 'f32', ['B', config.hiddenSize]);
  g.output('probabilities', distribution(g, hidden, config));
  return g.build();
}

/**
 * One decoding step of the whole text model for `B` sequences of different lengths.
 *
 * Inputs: `hidden [B, D]` (token embeddings), `rotary.cos|sin [B, d/2]`, `lastIndex i32 [B]` (cached
 * tokens of each sequence, this one not counted), `longest i32 [1]` (most tokens, this one counted),
 * caches `past.key.L`, `past.value.L [B, K, C, d]`, and every layer's parameters behind `L.`.
 * Outputs: `probabilities [B, V]` and the caches as `present.…`, to be bound to the memory of the inputs.
 */
export function decodeGraph(config: TextConfig): Graph {
  const { headDim, hiddenSize, heads, kvHeads, layers } = config;
  const g = new GraphBuilder('decode');
  let hidden = g.input('hidden', 'f32', ['B', hiddenSize]);
  const rotary = {
    cos: g.input('rotary.cos', 'f32', ['B', headDim / 2]),
    sin: g.input('rotary.sin', 'f32', ['B', headDim / 2]),
  };
  const lastIndex = g.input('lastIndex', 'i32', ['B']);
  const longest = g.input('longest', 'i32', [1]);
  for (let layer = 0; layer < layers; layer++) {
    const parameters = layerParameters(g, config, `${layer}.`);
    const { query, key, value } = projectQkv(g, hidden, parameters, rotary, config);
    const cacheShape = ['B', kvHeads, 'C', headDim];
    const past = (name: string): Value => g.input(`past.${name}.${layer}`, 'f32', cacheShape);
    const [attended, presentKey, presentValue] = g.groupQueryAttention(
      g.reshape(query, ['B', 1, heads * headDim]),
      g.reshape(key, ['B', 1, kvHeads * headDim]),
      g.reshape(value, ['B', 1, kvHeads * headDim]),
      past('key'),
      past('value'),
      lastIndex,
      longest,
      { numHeads: heads, kvNumHeads: kvHeads, scale: 1 / Math.sqrt(headDim) },
    );
    g.output(`present.key.${layer}`, presentKey);
    g.output(`present.value.${layer}`, presentValue);
    const rows = g.reshape(attended, ['B', heads * headDim]);
    hidden = finishLayer(g, hidden, rows, parameters, config);
  }
  g.output('probabilities', distribution(g, hidden, config));
  return g.build();
}
