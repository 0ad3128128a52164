/**
 * Reads a config in five passes: merge the YAML file and the items of the command line, replace references, decode,
 * derive, and check. Every pass but the first goes on after an issue, so that one error tells all of them.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isLeft, isRight } from 'fp-ts/lib/Either.js';
import { asMapping, replaced } from '../check/codec.ts';
import { configInvalid, issuesOf, pathOf, type Issue } from '../check/issues.ts';
import { localPath } from '../files.ts';
import { curriculumRules, mixProblem, stageLayer, stagePath } from './curriculum.ts';
import type { Stage } from './curriculum-schema.ts';
import { derive } from './derive.ts';
import { fileRules, type Purpose } from './files.ts';
import { interpolate } from './interpolate.ts';
import { mergeLayers, readItems, sourceIn, type Layer } from './merge.ts';
import { multiTurnRules } from './multi-turn-rules.ts';
import type { Rule } from './rule.ts';
import { brokenRules, trainingRules } from './rules.ts';
import { samplingRules, validationSamplingIssues } from './sampling-rules.ts';
import { Config, defaults, markEnvironment, markedLike } from './schema.ts';
import { ignoredKeys, rewardRules, unsupported } from './unsupported.ts';
import { readYaml } from './yaml.ts';

/** Options of reading a config: its purpose, the folders to look in, and the rewards that it may name. */
export interface LoadOptions {
  /** Purpose of the config; null only reads it, and tells what a run would object to as `issues`. */
  readonly purpose: Purpose | null;
  /** Folder that relative paths start from; the working directory when absent. */
  readonly cwd?: string;
  /** The package's own folder, where a `config=PATH` that is not under `cwd` is looked for. */
  readonly packageRoot?: string;
  /** Names of built-in rewards; when absent, a reward's name is not checked. */
  readonly rewards?: readonly string[];
}

/** A valid config, with its warnings, its issues, and the configs of its stages. */
export interface LoadedConfig {
  readonly config: Config;
  /** Lines for the user that stop nothing. */
  readonly warnings: readonly string[];
  /** Values that a training run would refuse; empty unless the purpose is null. */
  readonly issues: readonly Issue[];
  /** The stages of the curriculum with a whole config each; empty where there is none. */
  readonly stages: readonly StageConfig[];
}

/** A stage of a curriculum, and the config of the run that it is. */
interface StageConfig {
  readonly stage: Stage;
  readonly config: Config;
}

/**
 * The config of schema defaults, then the YAML file, then the items, left to right; decoded, derived and checked.
 *
 * @param items the command line's `config=PATH` and `path.to.key=value`
 * @throws CONFIG_INVALID that tells everything wrong at once, each with its path and source
 */
export async function configFrom(
  items: readonly string[],
  options: LoadOptions,
): Promise<LoadedConfig> {
  const { configPath, layers } = readItems(items);
  const below = configPath === null ? [] : [await fileLayer(configPath, options)];
  return checkedConfig(mergeLayers([...below, ...layers]), options);
}

async function fileLayer(file: string, options: LoadOptions): Promise<Layer> {
  const { value, sources } = await readYaml('config', file, findConfig(file, options));
  const mapping = asMapping(value ?? {});
  if (mapping !== undefined) return { value: mapping, sources };
  throw configInvalid([{ path: file, expected: 'expected a mapping at the top' }]);
}

function findConfig(path: string, { cwd = process.cwd(), packageRoot }: LoadOptions): string {
  const own = resolve(cwd, localPath(path));
  if (existsSync(own) || packageRoot === undefined) return own;
  const shipped = join(packageRoot, path);
  return existsSync(shipped) ? shipped : own;
}

function checkedConfig(merged: Layer, options: LoadOptions): LoadedConfig {
  const {
    value,
    fromEnvironment,
    issues: unresolved,
  } = interpolate(merged.value, sourceIn(merged));
  const layer = { ...merged, value };
  const base = withEnvironment(decodeLayer(layer, options, unresolved), fromEnvironment);
  const stages = decodeStages(layer, base, options);
  const wrong = [base, ...stages].flatMap((one) => one.wrong);
  // With a curriculum only its stages run, so only they have to be complete.
  const objections =
    stages.length === 0
      ? base.objections
      : [
          ...brokenRules(curriculumRules, base.config, sourceIn(layer), () => true),
          ...stages.flatMap((one) => one.objections),
        ];
  if (wrong.length > 0) throw configInvalid([...wrong, ...objections]);
  if (options.purpose !== null && objections.length > 0) throw configInvalid(objections);
  const told = stages.length === 0 ? [base] : stages;
  return {
    config: base.config,
    warnings: [...new Set(told.flatMap((one) => one.warnings))],
    issues: objections,
    stages: stages.map(({ stage, config }) => ({ stage, config: markedLike(config, base.config) })),
  };
}

/** A config as far as it decodes, and all issues with it. */
interface DecodedLayer {
  readonly config: Config;
  /** Values that did not decode. */
  readonly wrong: readonly Issue[];
  /** Values that decoded and cannot be run. */
  readonly objections: readonly Issue[];
  readonly warnings: readonly string[];
}

/** The stages of the curriculum, each as a config of its own; their issues name the stage. */
function decodeStages(
  layer: Layer,
  base: DecodedLayer,
  options: LoadOptions,
): (DecodedLayer & { readonly stage: Stage })[] {
  const hasStages = options.purpose !== 'sft' && options.purpose !== 'eval';
  if (!hasStages || base.wrong.length > 0) return [];
  const runFolder = base.config.trainer.saveCheckpointPath ?? '.';
  return base.config.curriculum.map((stage, index) => {
    const decoded = decodeLayer(stageLayer(layer, stage, index, runFolder), options, []);
    const place = stagePath(index);
    const named = (issue: Issue): Issue => ({ ...issue, path: `${place}: ${issue.path}` });
    const mix = mixProblem(stage, decoded.config);
    const ofMix = mix === undefined ? [] : [{ path: `${place}.mix`, expected: mix }];
    return {
      ...decoded,
      stage,
      wrong: decoded.wrong.map(named),
      objections: [...decoded.objections.map(named), ...ofMix],
    };
  });
}

/** The layer with its values from the environment marked. An issue shows the reference of such a value. */
function withEnvironment(
  layer: DecodedLayer,
  fromEnvironment: ReadonlyMap<string, string>,
): DecodedLayer {
  if (fromEnvironment.size === 0) return layer;
  const named = (issue: Issue): Issue => {
    const text = fromEnvironment.get(issue.path);
    return text === undefined || issue.got === undefined ? issue : { ...issue, got: text };
  };
  const config = markEnvironment(layer.config, fromEnvironment);
  return { ...layer, config, wrong: layer.wrong.map(named) };
}

function decodeLayer(
  layer: Layer,
  { purpose, cwd = process.cwd(), rewards }: LoadOptions,
  unresolved: readonly Issue[],
): DecodedLayer {
  const sourceOf = sourceIn(layer);
  const decoded = Config.decode(layer.value);
  const undecoded = isLeft(decoded) ? issuesOf(Config, decoded.left, sourceOf) : [];
  const wrong = [...unresolved, ...undecoded];
  const whole = isRight(decoded) ? decoded.right : decodeRest(layer.value, wrong);
  const gone = wrong.map((issue) => listPath(issue.path));
  const isKnown = (path: string): boolean =>
    !gone.some((other) => other === path || path.startsWith(`${other}.`));
  const config = derive(whole, cwd);
  const rules: readonly Rule[] = [
    ...(purpose === 'sft' || purpose === 'eval' ? [] : [...trainingRules, ...unsupported]),
    ...multiTurnRules,
    ...samplingRules,
    ...(rewards === undefined || purpose === 'sft' ? [] : rewardRules(rewards)),
    ...(purpose === null ? [] : fileRules(purpose, cwd)),
  ];
  const objections = [
    ...(isKnown('worker.rollout.val_override_config')
      ? validationSamplingIssues(config, sourceOf)
      : []),
    ...brokenRules(rules, config, sourceOf, isKnown),
  ];
  const ignored = ignoredKeys(whole);
  return { config, wrong, objections, warnings: ignored === undefined ? [] : [ignored] };
}

/** The config without the values that did not decode, so that rules can still read the others. */
function decodeRest(value: unknown, wrong: readonly Issue[]): Config {
  const gone = new Set(wrong.map(({ path }) => listPath(path)));
  const rest = replaced(value, [], (inner, keys) => (gone.has(pathOf(keys)) ? undefined : inner));
  const decoded = Config.decode(rest);
  return isRight(decoded) ? decoded.right : defaults();
}

/** The path of the list that a wrong element stands in; any other path as it is. */
function listPath(path: string): string {
  return path.replace(/\[.*$/, '');
}
