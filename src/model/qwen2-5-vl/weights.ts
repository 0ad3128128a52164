import { moduleNames, type ModelModules, type ModuleParameters } from '../weight-source.ts';
import type { ModelConfig } from '../model-config.ts';
import type { HEAD_PARAMETERS, VALUE_HEAD_PARAMETERS } from '../heads.ts';
import type { LAYER_PARAMETERS } from './decoder.ts';
import { patchSizeOf, type MERGER_PARAMETERS, type VISION_BLOCK_PARAMETERS } from './vision.ts';

/** Parameters by the names that a block's graph gives them, all of them. */
type Parameters<Names extends readonly string[]> = ModuleParameters &
  Readonly<Record<Names[number], ModuleParameters[string]>>;

const one = (name: string): ModuleParameters[string] => ({ names: [name] });

/** The modules of a policy. */
export function policyModules(config: ModelConfig): ModelModules {
  const head: Parameters<typeof HEAD_PARAMETERS> = {
    finalNorm: one('model.norm.weight'),
    headWeight: one(config.text.tieWordEmbeddings ? EMBEDDING : 'lm_head.weight'),
  };
  return new Map([...backbone(config), [moduleNames.head, head]]);
}

/** The modules of a value model. */
export function valueModules(config: ModelConfig): ModelModules {
  const head: Parameters<typeof VALUE_HEAD_PARAMETERS> = {
    finalNorm: one('model.norm.weight'),
    scoreWeight: one('score.weight'),
    scoreBias: one('score.bias'),
  };
  return new Map([...backbone(config), [moduleNames.head, head]]);
}

const EMBEDDING = 'model.embed_tokens.weight';

function backbone({ text, vision }: ModelConfig): [string, ModuleParameters][] {
  const modules: [string, ModuleParameters][] = [
    [moduleNames.embedding, { weight: one(EMBEDDING) }],
  ];
  for (let i = 0; i < text.layers; i++) modules.push([moduleNames.layer(i), layer(i)]);
  if (vision === null) return modules;
  const patches = [vision.hiddenSize, patchSizeOf(vision)];
  modules.push([
    moduleNames.patchEmbed,
    { weight: { names: ['visual.patch_embed.proj.weight'], shape: patches } },
  ]);
  for (let i = 0; i < vision.depth; i++) modules.push([moduleNames.visionBlock(i), visionBlock(i)]);
  modules.push([moduleNames.merger, merger]);
  return modules;
}

function layer(index: number): Parameters<typeof LAYER_PARAMETERS> {
  const prefix = `model.layers.${index}`;
  const attention = `${prefix}.self_attn`;
  const joined = (kind: string): ModuleParameters[string] => ({
    names: ['q', 'k', 'v'].map((part) => `${attention}.${part}_proj.${kind}`),
  });
  return {
    inputNorm: one(`${prefix}.input_layernorm.weight`),
    qkvWeight: joined('weight'),
    qkvBias: joined('bias'),
    outputWeight: one(`${attention}.o_proj.weight`),
    postNorm: one(`${prefix}.post_attention_layernorm.weight`),
    gateWeight: one(`${prefix}.mlp.gate_proj.weight`),
    upWeight: one(`${prefix}.mlp.up_proj.weight`),
    downWeight: one(`${prefix}.mlp.down_proj.weight`),
  };
}

function visionBlock(index: number): Parameters<typeof VISION_BLOCK_PARAMETERS> {
  const prefix = `visual.blocks.${index}`;
  const joined = (kind: string): ModuleParameters[string] => ({
    names: [`${prefix}.mlp.gate_proj.${kind}`, `${prefix}.mlp.up_proj.${kind}`],
  });
  return {
    norm1: one(`${prefix}.norm1.weight`),
    qkvWeight: one(`${prefix}.attn.qkv.weight`),
    qkvBias: one(`${prefix}.attn.qkv.bias`),
    projWeight: one(`${prefix}.attn.proj.weight`),
    projBias: one(`${prefix}.attn.proj.bias`),
    norm2: one(`${prefix}.norm2.weight`),
    gateUpWeight: joined('weight'),
    gateUpBias: joined('bias'),
    downWeight: one(`${prefix}.mlp.down_proj.weight`),
    downBias: one(`${prefix}.mlp.down_proj.bias`),
  };
}

const merger: Parameters<typeof MERGER_PARAMETERS> = {
  norm: one('visual.merger.ln_q.weight'),
  fc1Weight: one('visual.merger.mlp.0.weight'),
  fc1Bias: one('visual.merger.mlp.0.bias'),
  fc2Weight: one('visual.merger.mlp.2.weight'),
  fc2Bias: one('visual.merger.mlp.2.bias'),
};
