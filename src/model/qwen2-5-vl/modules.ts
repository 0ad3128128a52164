import type { ModelConfig, TextConfig, VisionConfig } from '../model-config.ts';
import type { Product, ProductBlock, ProductBlocks } from '../products.ts';

const product = (name: string, inner: number, modules: Product['modules']): Product => ({
  name,
  inner,
  modules,
});

/** The products of a decoder layer. */
export function layerProducts(config: TextConfig) {
  const { hiddenSize, heads, kvHeads, headDim, intermediateSize } = config;
  return {
    qkv: product('qkv', hiddenSize, [
      { name: 'self_attn.q_proj', out: heads * headDim },
      { name: 'self_attn.k_proj', out: kvHeads * headDim },
      { name: 'self_attn.v_proj', out: kvHeads * headDim },
    ]),
    output: product('output', heads * headDim, [{ name: 'self_attn.o_proj', out: hiddenSize }]),
    gate: product('gate', hiddenSize, [{ name: 'mlp.gate_proj', out: intermediateSize }]),
    up: product('up', hiddenSize, [{ name: 'mlp.up_proj', out: intermediateSize }]),
    down: product('down', intermediateSize, [{ name: 'mlp.down_proj', out: hiddenSize }]),
  };
}

/** The products of a vision block. */
export function visionBlockProducts({ hiddenSize, intermediateSize }: VisionConfig) {
  return {
    qkv: product('qkv', hiddenSize, [{ name: 'attn.qkv', out: 3 * hiddenSize }]),
    proj: product('proj', hiddenSize, [{ name: 'attn.proj', out: hiddenSize }]),
    gateUp: product('gateUp', hiddenSize, [
      { name: 'mlp.gate_proj', out: intermediateSize },
      { name: 'mlp.up_proj', out: intermediateSize },
    ]),
    down: product('down', intermediateSize, [{ name: 'mlp.down_proj', out: hiddenSize }]),
  };
}

/** The products of the patch merger. */
export function mergerProducts({ hiddenSize, mergeSize, outHiddenSize }: VisionConfig) {
  const merged = hiddenSize * mergeSize ** 2;
  return {
    fc1: product('fc1', merged, [{ name: 'mlp.0', out: merged }]),
    fc2: product('fc2', merged, [{ name: 'mlp.2', out: outHiddenSize }]),
  };
}

/** Every block with linear modules. */
export function productBlocks({ text, vision }: ModelConfig): ProductBlocks {
  const repeat = (count: number, prefix: string, products: readonly Product[]): ProductBlock[] =>
    Array.from({ length: count }, (_, i) => ({ prefix: `${prefix}.${i}`, products }));
  const layers = repeat(text.layers, 'model.layers', Object.values(layerProducts(text)));
  if (vision === null) return { visionBlocks: [], merger: null, layers };
  return {
    visionBlocks: repeat(vision.depth, 'visual.blocks', Object.values(visionBlockProducts(vision))),
    merger: { prefix: 'visual.merger', products: Object.values(mergerProducts(vision)) },
    layers,
  };
}
