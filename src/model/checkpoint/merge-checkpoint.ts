import { existsSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { CxmindError } from '../../errors.ts';
import { ADAPTER_CONFIG, adapterBase, loadAdapter } from './adapter-files.ts';
import { INDEX } from './companions.ts';
import { loadCheckpoint, saveCheckpoint, type SaveOptions } from './checkpoint.ts';

/** Options of a merge. */
export interface MergeOptions {
  /** Directory to write; `huggingface` in the checkpoint's folder when left out. */
  readonly out?: string;
  /** Directory of the model that adapters belong to, in place of the one that they name. */
  readonly base?: string;
  /** Dtype of the stored weights; their own when left out. */
  readonly dtype?: NonNullable<SaveOptions['dtype']>;
  /** Receives notes on the model for the user. */
  readonly onNote?: (note: string) => void;
}

/**
 * Makes a plain Hugging Face directory of a checkpoint's folder, `global_step_N/actor`, from its adapters and their
 * model, or from its weights.
 *
 * @returns the directory that was written
 * @throws CHECKPOINT_INVALID when there is nothing to merge
 */
export async function mergeCheckpoint(
  folder: string,
  { out, base, dtype, onNote = () => undefined }: MergeOptions,
): Promise<string> {
  const source = resolve(folder);
  if (basename(source) === 'huggingface') {
    throw invalid(source, 'is what merge writes; give the folder above it');
  }
  if (!existsSync(source)) throw invalid(source, 'is not there');
  const target = resolve(out ?? join(source, 'huggingface'));
  const adapted = [source, join(source, 'lora_adapter')].find((directory) =>
    existsSync(join(directory, ADAPTER_CONFIG)),
  );
  const weights = [join(source, 'huggingface'), source].find(hasWeights);
  const named = adapted && resolve(base ?? (await adapterBase(adapted)));
  const isNamedThere = named !== undefined && hasWeights(named);
  if (named !== undefined && !isNamedThere && (base !== undefined || weights === undefined)) {
    throw invalid(named, `holds no model for the adapters in ${adapted}; --base says where it is`);
  }
  const from = isNamedThere ? named : weights;
  if (from === undefined) throw nothingToMerge(source);
  const { config, arena, notes } = await loadCheckpoint(from);
  notes.forEach(onNote);
  const adapter = isNamedThere ? await loadAdapter(adapted!, config) : null;
  await saveCheckpoint(target, { from, arena, adapter, ...(dtype && { dtype }) });
  return target;
}

function hasWeights(directory: string): boolean {
  return ['model.safetensors', INDEX].some((name) => existsSync(join(directory, name)));
}

function nothingToMerge(folder: string): CxmindError {
  const shard = readdirSync(folder).find((name) =>
    /^model_world_size_\d+_rank_\d+\.pt$/.test(name),
  );
  return shard === undefined
    ? invalid(folder, 'holds neither huggingface/ with weights nor lora_adapter/')
    : invalid(
        folder,
        `holds shards of PyTorch (${shard}), which are pickled programs; cxmind evaluates nothing that it is ` +
          "given. Merge them with EasyR1's scripts/model_merger.py",
      );
}

function invalid(directory: string, message: string): CxmindError {
  return new CxmindError('CHECKPOINT_INVALID', `${directory}: ${message}`, {
    detail: { directory },
  });
}
