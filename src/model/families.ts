import { CxmindError } from '../errors.ts';
import type { Architecture } from './architecture.ts';
import { llama } from './llama/architecture.ts';
import type { ModelConfig } from './model-config.ts';
import { qwen2, qwen25Vl } from './qwen2-5-vl/architectures.ts';
import { qwen2Vl } from './qwen2-vl/architecture.ts';
import { qwen3 } from './qwen3/architecture.ts';
import { qwen3Moe } from './qwen3-moe/architecture.ts';
import { qwen3Vl, qwen3VlMoe } from './qwen3-vl/architectures.ts';

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
