/** Directories of LoRA adapters in PEFT's format, read and written. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import * as t from 'io-ts';
import { CxmindError } from '../../errors.ts';
import { loraA, loraB, type Adapter } from '../adapters/adapter.ts';
import { selectionOf } from '../adapters/selection.ts';
import { Arena } from '../weights/arena.ts';
import { architectureOf } from '../families.ts';
import { readJson } from '../../check/json.ts';
import { positive, wholeFrom } from '../../check/scalars.ts';
import { adapterLayout } from '../adapters/model-adapters.ts';
import type { ModelConfig } from '../model-config.ts';
import { SafetensorsReader, writeSafetensors } from './safetensors.ts';

/** Prefix of tensor names in PEFT's files: the path of the model inside PEFT's own. */
const PREFIX = 'base_model.model.';

/** Name of the file that describes an adapter directory. */
export const ADAPTER_CONFIG = 'adapter_config.json';
const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

const AdapterFile = t.intersection([
  t.type({ peft_type: t.string, r: wholeFrom(1), lora_alpha: positive }),
  t.partial({
    base_model_name_or_path: t.union([t.string, t.null]),
    bias: t.string,
    use_dora: t.boolean,
    use_rslora: t.boolean,
    rank_pattern: t.record(t.string, t.number),
    alpha_pattern: t.record(t.string, t.number),
    modules_to_save: t.union([t.array(t.string), t.null]),
  }),
]);
type AdapterFile = t.TypeOf<typeof AdapterFile>;

/**
 * Writes adapters as PEFT's `save_pretrained` does: `adapter_config.json` and `adapter_model.safetensors` in
 * float32, with transformers' names of modules.
 *
 * @param base directory or hub id of the model that they belong to
 */
export async function saveAdapter(
  directory: string,
  { spec, arena }: Adapter,
  { base, config }: { readonly base: string; readonly config: ModelConfig },
): Promise<void> {
  const { targets, exclude } = selectionOf(config, spec.modules);
  const file = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base,
    r: spec.rank,
    lora_alpha: spec.alpha,
    lora_dropout: 0,
    target_modules: targets,
    exclude_modules: exclude,
    bias: 'none',
    fan_in_fan_out: false,
    init_lora_weights: true,
    use_rslora: false,
    use_dora: false,
    modules_to_save: null,
    rank_pattern: {},
    alpha_pattern: {},
    inference_mode: true,
  };
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, ADAPTER_CONFIG), `${JSON.stringify(file, null, 2)}\n`);
  const { inTransformers } = architectureOf(config).weights;
  const tensors = spec.modules
    .flatMap((module) => [loraA(module), loraB(module)])
    .map((name) => ({
      name: `${PREFIX}${inTransformers(name)}`,
      tensor: arena.tensor(name),
    }));
  await writeSafetensors(join(directory, ADAPTER_WEIGHTS), tensors);
}

/**
 * The directory of the model that adapters belong to, by their `adapter_config.json`. A relative path starts at the
 * adapters' directory.
 *
 * @throws CHECKPOINT_INVALID when the file names no model
 */
export async function adapterBase(directory: string): Promise<string> {
  const file = join(directory, ADAPTER_CONFIG);
  const { base_model_name_or_path: base } = await readJson(AdapterFile, file);
  if (base != null && base !== '') return resolve(directory, base);
  throw new CxmindError('CHECKPOINT_INVALID', `${file}: base_model_name_or_path names no model`, {
    detail: { file },
  });
}

/**
 * Reads adapters that PEFT or `saveAdapter` wrote for a model with this config.
 *
 * @throws CHECKPOINT_INVALID for another kind of adapter, and for tensors that do not fit the model
 */
export async function loadAdapter(directory: string, config: ModelConfig): Promise<Adapter> {
  const file = join(directory, ADAPTER_CONFIG);
  const written = await readJson(AdapterFile, file);
  refuseOthers(file, written);
  await using reader = await SafetensorsReader.open(join(directory, ADAPTER_WEIGHTS));
  const { ofStored } = architectureOf(config).weights;
  const stored = new Map(
    reader.header.tensors.map((tensor) => [
      ofStored(tensor.name.replace(PREFIX, ''), config),
      tensor,
    ]),
  );
  const modules = [...stored.keys()].flatMap(
    (name) => /^(.*)\.lora_A\.weight$/.exec(name)?.[1] ?? [],
  );
  const { r: rank, lora_alpha, use_rslora = false } = written;
  const alpha = use_rslora ? lora_alpha * Math.sqrt(rank) : lora_alpha;
  const layout = adapterLayout(config, { rank, alpha, modules });
  const expected = new Map(layout.entries.map((entry) => [entry.name, entry]));
  const wrong = [
    ...[...stored].flatMap(([name, { shape }]) => {
      const entry = expected.get(name);
      if (entry === undefined) return [`${name} has no place in the model`];
      if (entry.shape.join() === shape.join()) return [];
      return [`${name} is [${shape.join(', ')}], not [${entry.shape.join(', ')}]`];
    }),
    ...[...expected.keys()].filter((name) => !stored.has(name)).map((name) => `${name} is missing`),
  ];
  if (wrong.length > 0 || modules.length === 0) {
    const issues = modules.length === 0 ? ['it holds no adapters'] : wrong.slice(0, 20);
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${reader.header.file}: does not fit the model (${config.architecture}): ${issues.join('; ')}`,
      { detail: { file: reader.header.file, issues } },
    );
  }
  const arena = new Arena(layout);
  for (const [name, tensor] of stored) await reader.readF32(tensor, arena.tensor(name));
  const inOrder = layout.entries.flatMap(
    ({ name }) => /^(.*)\.lora_A\.weight$/.exec(name)?.[1] ?? [],
  );
  return { spec: { rank, alpha, modules: inOrder }, arena };
}

function refuseOthers(file: string, written: AdapterFile): void {
  const { peft_type, bias, use_dora, rank_pattern = {}, alpha_pattern = {} } = written;
  const issues = [
    ...(peft_type === 'LORA' ? [] : [`peft_type ${peft_type}, only LORA`]),
    ...(bias === undefined || bias === 'none' ? [] : [`bias ${bias}, only none`]),
    ...(use_dora === true ? ['use_dora'] : []),
    ...(Object.keys(rank_pattern).length > 0 ? ['rank_pattern'] : []),
    ...(Object.keys(alpha_pattern).length > 0 ? ['alpha_pattern'] : []),
    ...((written.modules_to_save ?? []).length > 0 ? ['modules_to_save'] : []),
  ];
  if (issues.length === 0) return;
  throw new CxmindError('CHECKPOINT_INVALID', `${file}: not supported: ${issues.join('; ')}`, {
    detail: { file, issues },
  });
}
