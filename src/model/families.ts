import { CxmindError } from '../errors.ts';
import type { Architecture } from './architecture.ts';
import type { ModelConfig } from './model-config.ts';
import { qwen25Vl } from './qwen2-5-vl/architecture.ts';
import { qwen2Vl } from './qwen2-vl/architecture.ts';
import { qwen3Vl, qwen3VlMoe } from './qwen3-vl/architectures.ts';
import { llama, qwen2, qwen3, qwen3Moe } from './text-models/architectures.ts';

/** Every model family there is. */
export const architectures: readonly Architecture[] = [
  qwen25Vl,
  qwen2Vl,
  qwen3Vl,
  qwen3VlMoe,
  qwen2,
  qwen3,
  qwen3Moe,
  llama,
];

/** The family of a model. */
export function architectureOf({ architecture }: ModelConfig): Architecture {
  const found = architectures.find(({ name }) => name === architecture);
  if (found === undefined) {
    throw new CxmindError('INTERNAL', `there is no model family ${architecture}`);
  }
  return found;
}
