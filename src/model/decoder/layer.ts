import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { project } from '../adapters/adapted-product.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../adapters/adapter.ts';
import { attention, rotaryInputs, segmentInputs } from '../attention.ts';
import type { GraphForm } from '../graph-form.ts';
import { CAUSAL_STRIPS } from '../segments.ts';
import type { TextConfig } from '../model-config.ts';
import { mixture } from './mixture.ts';
import { projection } from './projection.ts';
import { attentionProducts, mlpProducts } from './weight-names.ts';

/** The gated MLP of a dense layer, or the experts in its place. */
function mlp(g: GraphBuilder, x: Value, config: TextConfig, adapters: GraphAdapters): Value {
  if (config.experts !== null) return mixture(g, x, config, config.experts, adapters);
  const { gate, up, down } = mlpProducts(config);
  const gated = g.mul(g.silu(project(g, gate, adapters, x)), project(g, up, adapters, x));
  return project(g, down, adapters, gated);
}

/** The second half of a layer for some of its rows: the residual plus attention, then the MLP or the experts. */
export function finishLayer(
  g: GraphBuilder,
  hidden: Value,
  attended: Value,
  config: TextConfig,
  adapters: GraphAdapters,
): Value {
  const { output } = attentionProducts(config);
  const residual = g.add(hidden, project(g, output, adapters, attended));
  const norm = g.input('postNorm', hidden.dtype, [config.hiddenSize]);
  const normed = g.rmsNorm(residual, norm, config.rmsNormEps);
  return g.add(residual, mlp(g, normed, config, adapters));
}

/** Names of a layer's graphs: for a network, and for a prefill, whose last layer is apart. */
const names = {
  network: 'decoder-layer',
  prefill: 'prefill-layer',
  last: 'prefill-last-layer',
} as const;

/**
 * One decoder layer over packed tokens: `hidden [T, D]` to `output [T, D]`.
 *
 * For a prefill it also outputs the rotated `key` and the `value`, `[T, K, d]`. The head after a prefill's last layer
 * needs one row a prompt: the input `lastRows i64 [P]` names them, and `output` is `[P, D]`.
 *
 * @param dtype dtype of hidden rows, weights, adapters, key and value; rotary tables and segment biases are f32
 */
export function decoderLayerGraph(
  config: TextConfig,
  adapters: GraphAdapters = NO_ADAPTERS,
  dtype: FloatDType = 'f32',
  form: GraphForm = 'composed',
  kind: keyof typeof names = 'network',
): Graph {
  const g = new GraphBuilder(names[kind]);
  const hidden = g.input('hidden', dtype, ['T', config.hiddenSize]);
  const rotary = rotaryInputs(g, 'T', config.headDim);
  const segments = segmentInputs(g, form, CAUSAL_STRIPS);
  const qkv = projection(g, hidden, config, adapters);
  const { attended, key, value } = attention(g, qkv, rotary, segments, config);
  if (kind !== 'network') {
    g.output('key', key);
    g.output('value', value);
  }
  const lastRows = kind === 'last' ? g.input('lastRows', 'i64', ['P']) : null;
  const kept = (x: Value): Value => (lastRows === null ? x : g.gather(x, lastRows));
  g.output('output', finishLayer(g, kept(hidden), kept(attended), config, adapters));
  return g.build();
}
