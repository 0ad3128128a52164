import * as t from 'io-ts';
import type { JsonObject } from '../checkpoint/companions.ts';
import type { ModelConfig, TextConfig } from '../model-config.ts';

/**
 * A `config.json` that transformers 4 and 5 read as the same model: `rope_theta` and `rope_scaling` beside version 5's
 * `rope_parameters`, `num_experts` beside its `num_local_experts`, and `tie_word_embeddings` where each of them looks for
 * it.
 *
 * Version 4 reads the text model's ties from `text_config` alone, version 5 from either place.
 *
 * @param model the model that the file describes, with the ties of its weights
 */
export function inBothLayouts(file: JsonObject, { text }: ModelConfig): JsonObject {
  const { text_config: nested } = file;
  const inner = t.UnknownRecord.is(nested) ? nested : file;
  const { rope_parameters: parameters } = inner;
  const rope = t.UnknownRecord.is(parameters) ? ropeOfVersion4(parameters, text) : {};
  const isTied = text.tieWordEmbeddings;
  const isNamed = isTied || [file, inner].some((part) => part['tie_word_embeddings'] === true);
  const ties = isNamed ? { tie_word_embeddings: isTied } : {};
  const experts = text.experts === null ? {} : { num_experts: text.experts.count };
  if (inner === file) return { ...file, ...ties, ...experts, ...rope };
  return { ...file, ...ties, text_config: { ...inner, ...ties, ...experts, ...rope } };
}

/** The rotary keys of transformers 4, from version 5's section. */
function ropeOfVersion4(
  { rope_theta: _, rope_type: type, ...others }: JsonObject,
  { ropeTheta, ropeScaling, mropeSection, mropeLayout }: TextConfig,
): JsonObject {
  const theta = { rope_theta: ropeTheta };
  if (mropeSection !== null && mropeLayout === 'sections' && ropeScaling === null) {
    return { ...theta, rope_scaling: { type: 'mrope', mrope_section: mropeSection } };
  }
  if (mropeSection === null && ropeScaling === null) return theta;
  return { ...theta, rope_scaling: { ...others, rope_type: type ?? 'default' } };
}
