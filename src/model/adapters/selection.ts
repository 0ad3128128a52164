/** Selection of the linear modules that get adapters, by PEFT's `target_modules` and `exclude_modules`. */
import { CxmindError } from '../../errors.ts';
import type { AdapterSpec } from './adapter.ts';
import type { ModelConfig } from '../model-config.ts';
import { architectureOf } from '../families.ts';
import { modelModules } from '../parameters.ts';
import { VISUAL } from '../vision/weight-names.ts';

/** Selection of the linear modules that get adapters, in PEFT's terms. */
export interface AdapterSelection {
  /** All linear modules but the output head and routers of experts, or modules by the ends of their names. */
  readonly targets: 'all-linear' | readonly string[];
  /** Regular expression over whole names; modules that it matches get no adapters. */
  readonly exclude: string | null;
}

/** Size and selection of adapters. */
export interface AdapterOptions extends AdapterSelection {
  readonly rank: number;
  readonly alpha: number;
}

/** Parses `all-linear`, or a list of names with commas. */
export function targetsOf(list: string): AdapterSelection['targets'] {
  return list === 'all-linear' ? list : list.split(',').map((name) => name.trim());
}

/**
 * The linear modules that a selection takes, by the hub's names in arena order.
 *
 * A module has two names, the hub's and that of transformers 5. A target is one of them, or its end after a dot.
 *
 * @see PEFT's `check_target_module_exists`
 */
export function selectModules(
  config: ModelConfig,
  { targets, exclude }: AdapterSelection,
): string[] {
  const { inTransformers } = architectureOf(config).weights;
  const excluded = exclude === null ? null : new RegExp(`^(?:${exclude})$`, 's');
  return linearModules(config).filter((module) => {
    const names = [module, inTransformers(module)];
    if (excluded !== null && names.some((name) => excluded.test(name))) return false;
    if (targets === 'all-linear') return true;
    return targets.some((target) =>
      names.some((name) => name === target || name.endsWith(`.${target}`)),
    );
  });
}

/**
 * The adapters of one model.
 *
 * @throws CONFIG_INVALID naming the model's linear modules when the selection takes none of them
 */
export function adapterSpec(config: ModelConfig, options: AdapterOptions): AdapterSpec {
  const modules = selectModules(config, options);
  if (modules.length > 0) return { rank: options.rank, alpha: options.alpha, modules };
  const { targets, exclude } = options;
  const known = [...new Set(linearModules(config).map(shortName))].join(', ');
  throw new CxmindError(
    'CONFIG_INVALID',
    `worker.actor.model.lora: target_modules = ${String(targets)} with exclude_modules = ` +
      `${String(exclude)} takes no module; linear modules end in ${known}`,
    { detail: { targets, exclude } },
  );
}

/** A short selection that takes exactly these modules, for PEFT's files. */
export function selectionOf(config: ModelConfig, modules: readonly string[]): AdapterSelection {
  const { inTransformers } = architectureOf(config).weights;
  const full = modules.map(inTransformers);
  const short = { targets: [...new Set(modules.map(shortName))].sort(), exclude: null };
  const textOnly = { ...short, exclude: `.*${VISUAL}.*` };
  const exact = [short, textOnly].find(
    (selection) => selectModules(config, selection).join() === modules.join(),
  );
  return exact ?? { targets: full, exclude: null };
}

function linearModules(config: ModelConfig): string[] {
  return [...modelModules(config, 'policy').values()].flatMap(({ prefix, products }) =>
    products.flatMap(({ modules }) => modules.map(({ name }) => `${prefix}.${name}`)),
  );
}

/**
 * The last part of a name: `q_proj`. The part before it belongs to it where the last is a number, `mlp.0`, or is the
 * name of a convolution too, `attn.proj`.
 */
function shortName(module: string): string {
  return /(?:[^.]+\.(?:\d+|proj)|[^.]+)$/.exec(module)![0];
}
