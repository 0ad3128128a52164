import * as t from 'io-ts';
import { positive } from '../../check/scalars.ts';
import { index, size, type Checks } from '../config-fields.ts';
import type { TextConfig } from '../model-config.ts';
import type { RopeScaling } from '../rope-scaling.ts';

/** Codec of `rope_scaling` and, from transformers 5 on, `rope_parameters`. */
export const Rope = t.partial({
  type: t.string,
  rope_type: t.string,
  rope_theta: positive,
  mrope_section: t.array(index),
  mrope_interleaved: t.boolean,
  factor: positive,
  original_max_position_embeddings: size,
  low_freq_factor: positive,
  high_freq_factor: positive,
  beta_fast: positive,
  beta_slow: positive,
  attention_factor: positive,
  mscale: positive,
  mscale_all_dim: positive,
  truncate: t.boolean,
});
type Rope = t.TypeOf<typeof Rope>;

/**
 * The scaling that a config's rotary section asks for, null for none.
 *
 * @param maxPositions `max_position_embeddings`, the first context's length where the section has none
 */
export function ropeScaling(
  rope: Rope,
  maxPositions: number | undefined,
  layout: TextConfig['mropeLayout'] | null,
  checks: Checks,
): RopeScaling | null {
  const type = rope.rope_type ?? rope.type ?? 'default';
  if (type === 'default' || (layout === 'sections' && type === 'mrope')) return null;
  const named = (key: 'factor' | 'low_freq_factor' | 'high_freq_factor'): number => {
    checks.that(rope[key] !== undefined, `rope type "${type}" wants ${key}`);
    return rope[key] ?? 1;
  };
  const originalContext = rope.original_max_position_embeddings ?? maxPositions ?? 0;
  const supported = ['default', ...(layout === 'sections' ? ['mrope'] : []), 'llama3', 'yarn'];
  const isSupported = supported.includes(type);
  checks.that(
    isSupported,
    `rope type "${type}" is not supported, only ${supported.map((one) => `"${one}"`).join(', ')}`,
  );
  if (!isSupported) return null;
  checks.that(
    originalContext > 0,
    `rope type "${type}" wants original_max_position_embeddings or max_position_embeddings`,
  );
  const factor = named('factor');
  if (type === 'yarn') {
    return {
      type,
      factor,
      originalContext,
      betaFast: rope.beta_fast ?? 32,
      betaSlow: rope.beta_slow ?? 1,
      attentionFactor: attentionFactor(rope, factor),
      isTruncated: rope.truncate ?? true,
    };
  }
  const [lowFreqFactor, highFreqFactor] = [named('low_freq_factor'), named('high_freq_factor')];
  checks.that(
    lowFreqFactor < highFreqFactor,
    `low_freq_factor ${lowFreqFactor} is not below high_freq_factor ${highFreqFactor}`,
  );
  return { type: 'llama3', factor, originalContext, lowFreqFactor, highFreqFactor };
}

/**
 * YaRN's factor on queries and keys: as the config gives it, or `0.1 ln(factor) + 1`.
 *
 * @see arXiv:2309.00071, section 3.4; `mscale` and `mscale_all_dim` as DeepSeek's configs have them
 */
function attentionFactor(
  { attention_factor: given, mscale, mscale_all_dim: all }: Rope,
  factor: number,
): number {
  if (given !== undefined) return given;
  const scaleOf = (weight: number): number =>
    factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
  return mscale && all ? scaleOf(mscale) / scaleOf(all) : scaleOf(1);
}
