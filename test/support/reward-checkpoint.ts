import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors } from '../../src/model/checkpoint/safetensors.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { goldenPath } from './golden.ts';

/** Writes a golden model as a sequence classifier with a head of the given weight, or without one. */
export async function writeRewardCheckpoint(
  directory: string,
  weight: readonly number[] | null,
  from: 'micro-text' | 'micro-vl' = 'micro-text',
): Promise<void> {
  cpSync(goldenPath(from), directory, { recursive: true });
  const config = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')) as object;
  const classifier = {
    ...config,
    architectures: [`${from === 'micro-text' ? 'Qwen2' : 'Qwen2_5_VL'}ForSequenceClassification`],
    id2label: { '0': 'LABEL_0' },
  };
  writeFileSync(join(directory, 'config.json'), JSON.stringify(classifier));
  const file = join(directory, 'model.safetensors');
  const tensors = await readSafetensors(file);
  tensors.delete('lm_head.weight');
  if (weight !== null) tensors.set('score.weight', tensorOf('f32', [1, weight.length], weight));
  const stored = [...tensors].map(([name, tensor]) => ({ name, tensor, dtype: tensor.dtype }));
  await writeSafetensors(file, stored);
}
