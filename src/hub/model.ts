/**
 * Directories of models that a config or a command names: a path, a folder of a run, or an id on the Hugging Face Hub.
 */
import { join } from 'node:path';
import { isHubId } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { exists } from '../files.ts';
import { modelIn, type TrainedModel } from './run-folder.ts';
import { hubSettings, type HubSettings } from './settings.ts';

/** Files that a checkpoint is read from: configs, tokenizer, templates, and weights in one format. */
const CHECKPOINT_FILE =
  /^([^/]+\.(json|jinja|txt|model|safetensors)|additional_chat_templates\/[^/]+\.jinja)$/;

/**
 * Finds the directory of a model. `model` is its path, the folder of a run or a checkpoint (see `modelIn`), or an id on
 * the Hugging Face Hub. A model of the hub is downloaded to the cache unless it is there.
 *
 * @param trained model that is taken from a run
 * @throws CHECKPOINT_INVALID if the hub has no such model or cannot be reached, or a run has no checkpoint
 */
export async function modelDirectory(
  model: string,
  settings: HubSettings = hubSettings(),
  trained: TrainedModel = 'actor',
): Promise<string> {
  if (await exists(model)) return modelIn(model, trained);
  if (!isHubId(model)) return model;
  return fetched(model, settings, (path) => CHECKPOINT_FILE.test(path));
}

/**
 * Finds a directory with the `config.json` of a model, of which nothing else need be there. From the hub, that file and
 * those of the tokenizer and the processors are downloaded, and no weights.
 *
 * @throws as `modelDirectory`
 */
export async function configDirectory(model: string): Promise<string> {
  if (await exists(join(model, 'config.json'))) return model;
  if ((await exists(model)) || !isHubId(model)) return modelDirectory(model);
  return fetched(
    model,
    hubSettings(),
    (path) => CHECKPOINT_FILE.test(path) && !/\.safetensors$/.test(path),
  );
}

/** Directory of a model of the hub, with the files that are wanted. The hub's SDK is loaded by runs that come here. */
async function fetched(
  model: string,
  settings: HubSettings,
  isWanted: (path: string) => boolean,
): Promise<string> {
  const { openRepository } = await import('./repository.ts');
  const repository = await openRepository('model', model, settings);
  await repository.fetch(repository.files.filter(isWanted));
  return repository.directory;
}

/**
 * Replaces the models of a config by their directories. Models that are named by ids are downloaded from the hub.
 *
 * @throws CHECKPOINT_INVALID as `modelDirectory` does
 */
export function withLocalModels(config: Config): Promise<Config> {
  return withModels(config, withLocalPaths);
}

type ModelPaths = Pick<Config['worker']['actor']['model'], 'modelPath' | 'tokenizerPath'>;

/** Puts others in place of the models of a config. */
export async function withModels(
  config: Config,
  other: <M extends ModelPaths>(model: M, trained: TrainedModel) => Promise<M>,
): Promise<Config> {
  const { actor, critic } = config.worker;
  return {
    ...config,
    worker: {
      ...config.worker,
      actor: { ...actor, model: await other(actor.model, 'actor') },
      critic: { ...critic, model: await other(critic.model, 'critic') },
    },
  };
}

async function withLocalPaths<M extends ModelPaths>(model: M, trained: TrainedModel): Promise<M> {
  const directory = (path: string): Promise<string> => modelDirectory(path, hubSettings(), trained);
  const { modelPath, tokenizerPath } = model;
  return {
    ...model,
    modelPath: modelPath && (await directory(modelPath)),
    tokenizerPath: tokenizerPath && (await directory(tokenizerPath)),
  };
}
