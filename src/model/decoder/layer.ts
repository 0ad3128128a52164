import { GraphBuilder } from '../../graph/builder.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { project } from '../adapters/adapted-product.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../adapters/adapter.ts';
import { attention, rotaryInputs, segmentInputs, type Attended } from '../attention.ts';
import type { GraphForm } from '../graph-form.ts';
import { CAUSAL_STRIPS } from '../segments.ts';
import type { TextConfig } from '../model-config.ts';
import { mixture } from './mixture.ts';
import { projection } from './projection.ts';
import { attentionProducts, mlpProducts } from './weight-names.ts';

/** A decoder layer's graph up to its attention. */
interface LayerAttention extends Attended {
  readonly g: GraphBuilder;
  readonly hidden: Value; // [T, D]
}

function layerAttention(
  name: string,
  config: TextConfig,
  adapters: GraphAdapters,
  dtype: FloatDType,
  form: GraphForm,
): LayerAttention {
  const g = new GraphBuilder(name);
  const hidden = g.input('hidden', dtype, ['T', config.hiddenSize]);
  const rotary = rotaryInputs(g, 'T', config.headDim);
  const segments = segmentInputs(g, form, CAUSAL_STRIPS);
  const qkv = projection(g, hidden, config, adapters);
  return { g, hidden, ...attention(g, qkv, rotary, segments, config) };
}

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

/**
 * One decoder layer over packed tokens: `hidden [T, D]` to `output [T, D]`.
 *
 * @param dtype dtype of hidden rows, weights and adapters; rotary tables and segment biases are f32
 */
export function decoderLayerGraph(
  config: TextConfig,
  adapters: GraphAdapters = NO_ADAPTERS,
  dtype: FloatDType = 'f32',
  form: GraphForm = 'composed',
): Graph {
  const { g, hidden, attended } = layerAttention('decoder-layer', config, adapters, dtype, form);
  g.output('output', finishLayer(g, hidden, attended, config, adapters));
  return g.build();
}

/**
 * A decoder layer for a prefill: it also outputs the rotated `key` and the `value`, `[T, K, d]`.
 *
 * @param isLast true for the last layer, whose head needs one row a prompt: the input `lastRows i64 [P]` names them,
 *   and `output` is `[P, D]`
 * @param dtype as in `decoderLayerGraph`, and the dtype of key and value
 */
export function prefillLayerGraph(
  config: TextConfig,
  isLast: boolean,
  adapters: GraphAdapters = NO_ADAPTERS,
  dtype: FloatDType = 'f32',
  form: GraphForm = 'composed',
): Graph {
  const name = isLast ? 'prefill-last-layer' : 'prefill-layer';
  const { g, hidden, attended, key, value } = layerAttention(name, config, adapters, dtype, form);
  g.output('key', key);
  g.output('value', value);
  if (isLast) {
    const lastRows = g.input('lastRows', 'i64', ['P']);
    const ofLast = (x: Value): Value => g.gather(x, lastRows);
    g.output('output', finishLayer(g, ofLast(hidden), ofLast(attended), config, adapters));
  } else {
    g.output('output', finishLayer(g, hidden, attended, config, adapters));
  }
  return g.build();
}
