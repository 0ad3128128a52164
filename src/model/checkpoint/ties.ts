import { slices } from '../../tensor/slices.ts';
import { sizeOf, zeros, type Tensor } from '../../tensor/tensor.ts';
import { HEAD } from '../decoder/weight-names.ts';
import { architectureOf } from '../families.ts';
import { withTies, type ModelConfig } from '../model-config.ts';
import type { SafetensorsReader, StoredTensor } from './safetensors.ts';

/** Elements that are compared at a time. */
const ELEMENTS_AT_ONCE = 2 ** 20;

/** A stored tensor with the file that it is in. */
interface Stored {
  readonly reader: SafetensorsReader;
  readonly tensor: StoredTensor;
}

/**
 * The config with the ties that the weights have, and a note where these differ from what `config.json` says.
 *
 * `tie_word_embeddings` makes the head a copy of the token embedding. Merged shards of FSDP may store another head
 * nevertheless. Both are kept then, untied, as in transformers 5.
 */
export async function withStoredTies(
  directory: string,
  config: ModelConfig,
  readers: readonly SafetensorsReader[],
): Promise<{ readonly config: ModelConfig; readonly notes: readonly string[] }> {
  if (!config.text.tieWordEmbeddings || !(await hasOwnHead(readers, config))) {
    return { config, notes: [] };
  }
  const note =
    `${directory}: tie_word_embeddings is set, but ${HEAD} and the embedding are stored and differ; ` +
    'both are kept, untied';
  return { config: withTies(config, false), notes: [note] };
}

/** Tells whether a head is stored whose values differ from the token embedding's; their dtypes may differ. */
async function hasOwnHead(
  readers: readonly SafetensorsReader[],
  config: ModelConfig,
): Promise<boolean> {
  const names = architectureOf(config).weights;
  const untied = withTies(config, false);
  const find = (name: string): Stored | undefined =>
    readers
      .flatMap((reader) => reader.header.tensors.map((tensor) => ({ reader, tensor })))
      .find(({ tensor }) => names.ofStored(tensor.name, untied) === name);
  const [head, embedding] = [find(HEAD), find(names.embedding)];
  if (head === undefined || embedding === undefined) return false;
  const count = sizeOf(embedding.tensor.shape);
  if (sizeOf(head.tensor.shape) !== count) return true;
  for (const { start, end } of slices(count, ELEMENTS_AT_ONCE)) {
    const [a, b] = [await valuesOf(head, start, end), await valuesOf(embedding, start, end)];
    if (a.data.some((value, i) => value !== b.data[i])) return true;
  }
  return false;
}

/** Elements `from` to `until` of a tensor, in the order in which they are stored. */
async function valuesOf(
  { reader, tensor }: Stored,
  from: number,
  until: number,
): Promise<Tensor<'f32'>> {
  const width = tensor.sizeBytes / sizeOf(tensor.shape);
  const values = zeros('f32', [until - from]);
  const [offset, sizeBytes] = [tensor.offset + from * width, (until - from) * width];
  await reader.readF32({ ...tensor, offset, sizeBytes }, values);
  return values;
}
