/** The lengths of a run's own prompts, from its training set where that is on this machine. */
import type { ModelConfig } from '../model/model-config.ts';
import type { PromptInput } from '../model/pack.ts';
import { loadDataset, type DatasetOptions } from '../data/dataset.ts';
import { sampleOptions, type SampleSettings } from '../data/sample-options.ts';
import { promptInputOf, SampleBuilder } from '../data/sample.ts';
import { heldRows } from '../data/row-store.ts';

/** Prompts that are made of rows of a set; more would take long to decode, and tell little more. */
const MOST_PROMPTS = 32;

/** Prompts of a training set, and how many it has. */
export interface DataPrompts {
  readonly prompts: readonly PromptInput[];
  readonly rows: number;
}

/**
 * Makes the first prompts of a training set, pictures included.
 *
 * @throws DATA_INVALID, CHECKPOINT_INVALID where the set or the tokenizer cannot be read
 */
export async function dataPrompts(
  settings: Omit<SampleSettings, 'model'> & Omit<DatasetOptions, 'source'>,
  source: DatasetOptions['source'],
  model: ModelConfig,
): Promise<DataPrompts> {
  const { rows } = await loadDataset({ ...settings, source });
  const builder = new SampleBuilder(sampleOptions({ ...settings, model }));
  const chosen = rows.slice(0, MOST_PROMPTS);
  await builder.settleBitDepth(heldRows(chosen));
  const prompts = await Array.fromAsync(chosen, async (row) =>
    promptInputOf(await builder.build(row)),
  );
  return { prompts, rows: rows.length };
}

/** Prompts of a whole step, from those there are in turns. Each stands for a prompt of its own. */
export function repeated(prompts: readonly PromptInput[], count: number): PromptInput[] {
  return Array.from({ length: count }, (_, i) => {
    const prompt = prompts[i % prompts.length]!;
    return { ...prompt, tokenIds: { ...prompt.tokenIds } };
  });
}
