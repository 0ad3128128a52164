import { CxmindError } from '../../errors.ts';
import type { AdapterSpec } from './adapter.ts';
import type { ModelConfig } from '../model-config.ts';
import { architectureOf } from '../families.ts';
import { productBlocks } from './model-adapters.ts';

/** Which modules get adapters, as PEFT is told it. */
export interface AdapterSelection {
  /** Every linear module but the output head, or modules by the ends of their names. */
  readonly targets: 'all-linear' | readonly string[];
  /** Regular expression over whole names; what it matches gets none. */
  readonly exclude: string | null;
}

/** How large the adapters are, and where. */
export interface AdapterOptions extends AdapterSelection {
  readonly rank: number;
  readonly alpha: number;
}

/** `all-linear`, or the names of a comma list. */
export function targetsOf(list: string): AdapterSelection['targets'] {
  return list === 'all-linear' ? list : list.split(',').map((name) => name.trim());
}

/**
 * The linear modules that a selection takes, by the hub's names in arena order.
 *
 * A module is known by both of its names, `model.layers.0.mlp.up_proj` and
 * `model.language_model.layers.0.mlp.up_proj`; a target is one of them or what follows a dot in it.
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
    const names = [module, inTransformers(module, config)];
    if (excluded !== null && names.some((name) => excluded.test(name))) return false;
    if (targets === 'all-linear') return true;
    return targets.some((target) =>
      names.some((name) => name === target || name.endsWith(`.${target}`)),
    );
  });
}

/**
 * What the options come to for one model.
 *
 * @throws CONFIG_INVALID naming the modules there are when the selection takes none of them
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

/** A short selection that takes exactly these modules, for files that say which they are. */
export function selectionOf(config: ModelConfig, modules: readonly string[]): AdapterSelection {
  const names = architectureOf(config).weights;
  const full = modules.map((module) => names.inTransformers(module, config));
  const short = { targets: [...new Set(modules.map(shortName))].sort(), exclude: null };
  const textOnly = { ...short, exclude: `.*${names.vision}.*` };
  const exact = [short, textOnly].find(
    (selection) => selectModules(config, selection).join() === modules.join(),
  );
  return exact ?? { targets: full, exclude: null };
}

function linearModules(config: ModelConfig): string[] {
  return productBlocks(config).flatMap(({ prefix, products }) =>
    products.flatMap(({ modules }) => modules.map(({ name }) => `${prefix}.${name}`)),
  );
}

/**
 * The last part of a name, and the one before it where the last is a number, or one that the patch embedding, a
 * convolution, has as well: `q_proj`, `mlp.0`, `attn.proj`.
 */
function shortName(module: string): string {
  return /(?:[^.]+\.(?:\d+|proj)|[^.]+)$/.exec(module)![0];
}
