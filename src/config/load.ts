import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { asCxmindError, CxmindError, refusalText } from '../errors.ts';
import { asMapping } from './codec.ts';
import { curriculumRules, mixProblem, stageLayer, stagePath } from './curriculum.ts';
import type { Stage } from './curriculum-schema.ts';
import { derive } from './derive.ts';
import { fileRules, type Purpose } from './files.ts';
import { interpolate } from './interpolate.ts';
import { localPath, readText } from '../files.ts';
import { configInvalid, issuesOf, pathOf, type Issue } from './issues.ts';
import { mergeLayers, readItems, sourceIn, type Items, type Layer } from './merge.ts';
import { brokenRules, trainingRules, validationSamplingIssues, type Rule } from './rules.ts';
import { Config, defaults, markEnvironment, markedLike } from './schema.ts';
import { ignoredKeys, rewardRule, unsupported } from './unsupported.ts';
import { parseYaml } from './yaml-source.ts';

/** More than `parseYaml` takes of any text. */
const MAX_CONFIG_BYTES = 1 << 22;

/** How a config is read: for what, from where, and which rewards it may name. */
export interface LoadOptions {
  /** What the config is for; null only reads it, and tells what a run would object to as `issues`. */
  readonly purpose: Purpose | null;
  /** What relative paths are relative to; the working directory when absent. */
  readonly cwd?: string;
  /** Where a `config=PATH` that is not under `cwd` is looked for: the package's own configs. */
  readonly packageRoot?: string;
  /** Names of built-in rewards; when absent, a reward's name is not checked. */
  readonly rewards?: readonly string[];
}

/** A config that holds, and what its reader should hear about it. */
export interface LoadedConfig {
  readonly config: Config;
  /** Lines for the user that stop nothing. */
  readonly warnings: readonly string[];
  /** What a training run would refuse; empty unless the purpose is null. */
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
 * Schema defaults, then the YAML file, then the items, left to right; decoded, derived and checked.
 *
 * @param items the command line's `config=PATH` and `path.to.key=value`
 * @returns left: CONFIG_INVALID that tells everything wrong at once, each with its path and source
 * @see spec/config.md, section 1
 */
export function loadConfig(
  items: readonly string[],
  options: LoadOptions,
): TE.TaskEither<CxmindError, LoadedConfig> {
  return pipe(
    TE.fromEither(E.tryCatch(() => readItems(items), asCxmindError)),
    TE.chain((read) => withFile(read, options)),
    TE.map(mergeLayers),
    TE.chainEitherK((layer) => decodeConfig(layer, options)),
  );
}

/** `loadConfig` for code that handles errors by throwing. */
export async function configFrom(
  items: readonly string[],
  options: LoadOptions,
): Promise<LoadedConfig> {
  const loaded = await loadConfig(items, options)();
  if (E.isLeft(loaded)) throw loaded.left;
  return loaded.right;
}

function findConfig(path: string, { cwd = process.cwd(), packageRoot }: LoadOptions): string {
  const own = resolve(cwd, localPath(path));
  if (existsSync(own) || packageRoot === undefined) return own;
  const shipped = join(packageRoot, path);
  return existsSync(shipped) ? shipped : own;
}

function withFile(
  { configPath, layers }: Items,
  options: LoadOptions,
): TE.TaskEither<CxmindError, readonly Layer[]> {
  if (configPath === null) return TE.right(layers);
  return pipe(
    TE.tryCatch(
      () => readText(findConfig(configPath, options), MAX_CONFIG_BYTES),
      (cause) =>
        new CxmindError(
          'CONFIG_INVALID',
          `config: cannot read ${configPath}: ${refusalText(cause)}`,
          {
            cause,
            detail: { file: configPath },
          },
        ),
    ),
    TE.chainEitherK((text) => fileLayer(text, configPath)),
    TE.map((layer) => [layer, ...layers]),
  );
}

function fileLayer(text: string, file: string): E.Either<CxmindError, Layer> {
  const { value, sources, issues } = parseYaml(text, { file });
  if (issues.length > 0) return E.left(configInvalid(issues));
  const mapping = asMapping(value ?? {});
  return mapping === undefined
    ? E.left(configInvalid([{ path: file, expected: 'expected a mapping at the top' }]))
    : E.right({ value: mapping, sources });
}

function decodeConfig(layer: Layer, options: LoadOptions): E.Either<CxmindError, LoadedConfig> {
  const { value, fromEnvironment, issues: unresolved } = interpolate(layer.value, sourceIn(layer));
  const base = withEnvironment(
    decodeLayer({ ...layer, value }, options, unresolved),
    fromEnvironment,
  );
  const isCurriculum = options.purpose !== 'sft' && options.purpose !== 'eval';
  const list = isCurriculum && base.wrong.length === 0 ? base.config.curriculum : [];
  const runFolder = base.config.trainer.saveCheckpointPath ?? '.';
  const decoded = list.map((stage, index) => {
    const stageTree = stageLayer({ ...layer, value }, stage, index, runFolder);
    const own = decodeLayer(stageTree, options, []);
    const named = (issue: Issue): Issue => ({
      ...issue,
      path: `${stagePath(index)}: ${issue.path}`,
    });
    const mix = mixProblem(stage, own.config);
    const objections = own.objections.map(named);
    if (mix !== undefined) objections.push({ path: `${stagePath(index)}.mix`, expected: mix });
    return { ...own, stage, wrong: own.wrong.map(named), objections };
  });
  // With a curriculum, only its stages run: what the rest of the file lacks by itself is theirs to give.
  const acrossStages = brokenRules(curriculumRules, base.config, sourceIn(layer), () => true);
  const wrong = [...base.wrong, ...decoded.flatMap((stage) => stage.wrong)];
  const objections =
    list.length === 0
      ? base.objections
      : [...acrossStages, ...decoded.flatMap((stage) => stage.objections)];
  if (wrong.length > 0) return E.left(configInvalid([...wrong, ...objections]));
  if (options.purpose !== null && objections.length > 0) return E.left(configInvalid(objections));
  const warnings = list.length === 0 ? base.warnings : decoded.flatMap((stage) => stage.warnings);
  return E.right({
    config: base.config,
    warnings: [...new Set(warnings)],
    issues: objections,
    stages: decoded.map(({ stage, config }) => ({
      stage,
      config: markedLike(config, base.config),
    })),
  });
}

/** A config as far as it decodes, and everything there is to say about it. */
interface DecodedLayer {
  readonly config: Config;
  /** What did not decode. */
  readonly wrong: readonly Issue[];
  /** What decoded, but cannot be run. */
  readonly objections: readonly Issue[];
  readonly warnings: readonly string[];
}

/** The layer with what it has from the environment marked, and named by its reference where it is wrong. */
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
  const wrong = [
    ...unresolved,
    ...(E.isLeft(decoded) ? issuesOf(Config, decoded.left, sourceOf) : []),
  ];
  const whole = E.isLeft(decoded) ? decodeRest(layer.value, wrong) : decoded.right;
  const gone = wrong.map((issue) => listPath(issue.path));
  const isKnown = (path: string): boolean =>
    !gone.some((other) => other === path || path.startsWith(`${other}.`));
  const config = derive(whole, cwd);
  const rules: readonly Rule[] = [
    ...(purpose === 'sft' || purpose === 'eval' ? [] : [...trainingRules, ...unsupported]),
    ...(rewards === undefined || purpose === 'sft' ? [] : [rewardRule(rewards)]),
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
  const drop = (at: unknown, keys: readonly string[]): unknown => {
    const mapping = asMapping(at);
    if (mapping === undefined) return at;
    return Object.fromEntries(
      Object.entries(mapping)
        .filter(([key]) => !wrong.some(({ path }) => listPath(path) === pathOf([...keys, key])))
        .map(([key, inner]) => [key, drop(inner, [...keys, key])]),
    );
  };
  const decoded = Config.decode(drop(value, []));
  return E.isLeft(decoded) ? defaults() : decoded.right;
}

/** The path of the list that a wrong element stands in; any other path as it is. */
function listPath(path: string): string {
  return path.replace(/\[.*$/, '');
}
