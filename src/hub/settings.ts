import { join } from 'node:path';
import { attempt } from '../errors.ts';
import { localPath, readWholeSync, userCacheFolder } from '../files.ts';

/** Address of the hub, access to it, and its cache. */
export interface HubSettings {
  readonly url: string;
  /** Cache directory in the layout of `huggingface_hub`, so that each finds the downloads of the other. */
  readonly cacheDirectory: string;
  readonly token: string | null;
  /** Restricts reading to the cache. */
  readonly isOffline: boolean;
}

/**
 * Reads the settings from the environment variables of `huggingface_hub`: HF_ENDPOINT, HF_HUB_CACHE, HF_HOME,
 * HF_TOKEN, HF_TOKEN_PATH, HF_HUB_OFFLINE. Without HF_TOKEN it takes the token of `hf auth login`.
 */
export function hubSettings(environment: NodeJS.ProcessEnv = process.env): HubSettings {
  const of = (...names: readonly string[]): string | undefined =>
    names
      .map((name) => environment[name]?.trim())
      .find((value) => value !== undefined && value !== '');
  const pathOf = (...names: readonly string[]): string | undefined => {
    const name = of(...names);
    return name === undefined ? undefined : localPath(name);
  };
  const home = pathOf('HF_HOME') ?? join(userCacheFolder(environment), 'huggingface');
  return {
    url: (of('HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, ''),
    cacheDirectory: pathOf('HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub'),
    token:
      of('HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN') ??
      savedToken(pathOf('HF_TOKEN_PATH') ?? join(home, 'token')),
    isOffline: /^(1|true|yes|on)$/i.test(of('HF_HUB_OFFLINE') ?? ''),
  };
}

function savedToken(path: string): string | null {
  return attempt(() => readWholeSync(path).toString().trim() || null);
}
