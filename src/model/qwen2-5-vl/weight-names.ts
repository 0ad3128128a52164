import { layOut, type ParameterShape } from '../arena.ts';
import type { ModelConfig, TextConfig, VisionConfig } from '../model-config.ts';

/** The token embedding, which a tied head is too. */
export const EMBEDDING = 'model.embed_tokens.weight';
/** The head of a policy. */
export const HEAD = 'lm_head.weight';

/** Parameters that stay adjacent in the arena: [q; k; v] and [gate; up] are then single matrices. */
export type ParameterGroup = readonly ParameterShape[];

function visionGroups(vision: VisionConfig): ParameterGroup[] {
  const { hiddenSize: width, intermediateSize: inner, patchSize } = vision;
  const merged = width * vision.mergeSize ** 2;
  const groups: ParameterGroup[] = [
    [
      {
        name: 'visual.patch_embed.proj.weight',
        shape: [width, vision.inChannels, vision.temporalPatchSize, patchSize, patchSize],
      },
    ],
  ];
  for (let block = 0; block < vision.depth; block++) {
    const prefix = `visual.blocks.${block}`;
    groups.push(
      [{ name: `${prefix}.norm1.weight`, shape: [width] }],
      [{ name: `${prefix}.attn.qkv.weight`, shape: [3 * width, width] }],
      [{ name: `${prefix}.attn.qkv.bias`, shape: [3 * width] }],
      [{ name: `${prefix}.attn.proj.weight`, shape: [width, width] }],
      [{ name: `${prefix}.attn.proj.bias`, shape: [width] }],
      [{ name: `${prefix}.norm2.weight`, shape: [width] }],
      [
        { name: `${prefix}.mlp.gate_proj.weight`, shape: [inner, width] },
        { name: `${prefix}.mlp.up_proj.weight`, shape: [inner, width] },
      ],
      [
        { name: `${prefix}.mlp.gate_proj.bias`, shape: [inner] },
        { name: `${prefix}.mlp.up_proj.bias`, shape: [inner] },
      ],
      [{ name: `${prefix}.mlp.down_proj.weight`, shape: [width, inner] }],
      [{ name: `${prefix}.mlp.down_proj.bias`, shape: [width] }],
    );
  }
  groups.push(
    [{ name: 'visual.merger.ln_q.weight', shape: [width] }],
    [{ name: 'visual.merger.mlp.0.weight', shape: [merged, merged] }],
    [{ name: 'visual.merger.mlp.0.bias', shape: [merged] }],
    [{ name: 'visual.merger.mlp.2.weight', shape: [vision.outHiddenSize, merged] }],
    [{ name: 'visual.merger.mlp.2.bias', shape: [vision.outHiddenSize] }],
  );
  return groups;
}

/** Token embeddings, decoder layers and the norm after them. */
function textGroups(text: TextConfig): ParameterGroup[] {
  const { hiddenSize: width, intermediateSize: inner } = text;
  const queries = text.heads * text.headDim;
  const keys = text.kvHeads * text.headDim;
  const groups: ParameterGroup[] = [[{ name: EMBEDDING, shape: [text.vocabSize, width] }]];
  for (let layer = 0; layer < text.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    groups.push(
      [{ name: `${prefix}.input_layernorm.weight`, shape: [width] }],
      [
        { name: `${prefix}.self_attn.q_proj.weight`, shape: [queries, width] },
        { name: `${prefix}.self_attn.k_proj.weight`, shape: [keys, width] },
        { name: `${prefix}.self_attn.v_proj.weight`, shape: [keys, width] },
      ],
      [
        { name: `${prefix}.self_attn.q_proj.bias`, shape: [queries] },
        { name: `${prefix}.self_attn.k_proj.bias`, shape: [keys] },
        { name: `${prefix}.self_attn.v_proj.bias`, shape: [keys] },
      ],
      [{ name: `${prefix}.self_attn.o_proj.weight`, shape: [width, queries] }],
      [{ name: `${prefix}.post_attention_layernorm.weight`, shape: [width] }],
      [
        { name: `${prefix}.mlp.gate_proj.weight`, shape: [inner, width] },
        { name: `${prefix}.mlp.up_proj.weight`, shape: [inner, width] },
      ],
      [{ name: `${prefix}.mlp.down_proj.weight`, shape: [width, inner] }],
    );
  }
  groups.push([{ name: 'model.norm.weight', shape: [width] }]);
  return groups;
}

function backboneGroups({ vision, text }: ModelConfig): ParameterGroup[] {
  return [...(vision === null ? [] : visionGroups(vision)), ...textGroups(text)];
}

/**
 * Every parameter of the model in arena order: vision tower, embedding, decoder layers, norm, head.
 *
 * Names are the hub's. `layOut(parameterGroups(config))` is the model's arena.
 */
export function parameterGroups(config: ModelConfig): readonly ParameterGroup[] {
  const { vocabSize, hiddenSize, tieWordEmbeddings } = config.text;
  const head = [{ name: HEAD, shape: [vocabSize, hiddenSize] }];
  return [...backboneGroups(config), ...(tieWordEmbeddings ? [] : [head])];
}

/** The same of a value model, whose head has transformers' name of a token classifier's. */
export function valueParameterGroups(config: ModelConfig): readonly ParameterGroup[] {
  return [
    ...backboneGroups(config),
    [{ name: 'score.weight', shape: [1, config.text.hiddenSize] }],
    [{ name: 'score.bias', shape: [1] }],
  ];
}

/** Elements of the arena that the vision tower takes, from its beginning on; 0 without one. */
export function visionLength({ vision }: ModelConfig): number {
  return vision === null ? 0 : layOut(visionGroups(vision)).length;
}

/**
 * The hub's name of a tensor that a checkpoint stores under `stored`.
 *
 * transformers 5 names modules `model.visual.*` and `model.language_model.*` where the hub has
 * `visual.*` and `model.*`; a tied head that was stored all the same is the embedding.
 */
export function parameterName(stored: string, config: ModelConfig): string {
  if (config.text.tieWordEmbeddings && stored === HEAD) return EMBEDDING;
  return stored
    .replace(/^model\.visual\./, 'visual.')
    .replace(/^model\.language_model\./, 'model.');
}

/** The same model with its head tied to the embedding, or with one of its own. */
export function withTies(config: ModelConfig, tieWordEmbeddings: boolean): ModelConfig {
  return { ...config, text: { ...config.text, tieWordEmbeddings } };
}

/** The name that transformers 5 gives the module, or its tensor, that the hub calls `name`. */
export function moduleName(name: string, config: ModelConfig): string {
  if (config.vision === null) return name;
  return name.startsWith('visual.')
    ? `model.${name}`
    : name.replace(/^model\./, 'model.language_model.');
}
