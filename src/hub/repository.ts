/** Repositories of the Hugging Face Hub at one commit, downloaded to the cache, or found there when the hub is away. */
import { join } from 'node:path';
import {
  datasetInfo,
  downloadFile,
  HubApiError,
  listFiles,
  modelInfo,
  type ListFileEntry,
  type RepoDesignation,
} from '@huggingface/hub';
import { CxmindError, messageOf } from '../errors.ts';
import { RepositoryCache } from './cache.ts';
import { isCommit, isSafeName, type CachedName } from './names.ts';
import type { HubSettings } from './settings.ts';

/** Kind of a repository. */
export type RepositoryKind = 'dataset' | 'model';

/** Repository at one commit. */
export interface HubRepository {
  /** Directory of the fetched files. */
  readonly directory: string;
  /** Paths in the repository, sorted. */
  readonly files: readonly string[];
  /** Downloads files that are not in the cache. */
  fetch(paths: readonly string[]): Promise<void>;
}

const REVISION = 'main';
/** Number of files fetched at a time. */
const PARALLEL = 4;
/** Most pages of a listing, of 1,000 files each. */
const MAX_PAGES = 10_000;
/** Most attempts at a file whose transfer breaks. */
const ATTEMPTS = 3;

/**
 * Opens a repository of the Hugging Face Hub. If the hub cannot be reached, it opens the cached part of it.
 *
 * @param id `owner/name`
 * @throws DATA_INVALID for a data set and CHECKPOINT_INVALID for a model that does not exist, is not shown to the
 *   token, or can neither be reached nor found in the cache
 */
export async function openRepository(
  kind: RepositoryKind,
  id: string,
  settings: HubSettings,
): Promise<HubRepository> {
  const folder = join(settings.cacheDirectory, `${kind}s--${id.replaceAll('/', '--')}`);
  const cache = new RepositoryCache(folder);
  const remote = new RemoteRepository(kind, id, settings);
  if (settings.isOffline) {
    return cachedRepository(cache, remote.unreachable('HF_HUB_OFFLINE is set'));
  }
  let entries: readonly CachedName[];
  let commit: string;
  try {
    commit = await remote.commit();
    entries = await remote.list(commit);
  } catch (error) {
    if (error instanceof CxmindError) throw error;
    if (error instanceof HubApiError && error.statusCode < 500) throw remote.refusal(error);
    return cachedRepository(cache, remote.unreachable(reasonOf(error)));
  }
  await cache.setCommit(REVISION, commit);
  return {
    directory: cache.snapshot(commit),
    files: entries.map(({ path }) => path),
    fetch: async (paths) => {
      const wanted = entries.filter(({ path }) => paths.includes(path));
      const fetchNext = async (): Promise<void> => {
        for (let file = wanted.pop(); file !== undefined; file = wanted.pop()) {
          const next = file;
          const open = (): Promise<Blob> => remote.open(next.path, commit);
          await remote.withRetries(() => cache.add(commit, next, open));
        }
      };
      await Promise.all(Array.from({ length: PARALLEL }, fetchNext));
    },
  };
}

/** Repository on the hub. */
class RemoteRepository {
  readonly #kind: RepositoryKind;
  readonly #id: string;
  readonly #settings: HubSettings;
  /** Options of every request of the SDK. */
  readonly #access: { hubUrl: string; accessToken?: string; repo: RepoDesignation };

  constructor(kind: RepositoryKind, id: string, settings: HubSettings) {
    const { url, token } = settings;
    this.#kind = kind;
    this.#id = id;
    this.#settings = settings;
    const repo = { type: kind, name: id };
    this.#access = { hubUrl: url, ...(token !== null && { accessToken: token }), repo };
  }

  /** Commit of the main branch. */
  async commit(): Promise<string> {
    const options = { ...this.#access, name: this.#id, revision: REVISION };
    const { sha } = await (this.#kind === 'dataset'
      ? datasetInfo({ ...options, additionalFields: ['sha'] })
      : modelInfo({ ...options, additionalFields: ['sha'] }));
    if (isCommit(sha)) return sha;
    throw this.#lie(`names ${JSON.stringify(sha)} as its commit`);
  }

  /** Files of a commit, sorted by path. */
  async list(revision: string): Promise<CachedName[]> {
    const entries: CachedName[] = [];
    let pages = 0;
    const fetchPage: typeof fetch = (input, init) => {
      if (++pages > MAX_PAGES) throw this.#lie(`lists its files on more than ${MAX_PAGES} pages`);
      return fetch(input, init);
    };
    const options = { ...this.#access, revision, recursive: true };
    for await (const entry of listFiles({ ...options, fetch: fetchPage })) {
      if (entry.type !== 'file') continue;
      const name = cachedName(entry);
      if (!isSafeName(name))
        throw this.#lie(`lists a file that cannot be kept: ${JSON.stringify(name)}`);
      entries.push(name);
    }
    return entries.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** Opens the content of a file. */
  async open(path: string, revision: string): Promise<Blob> {
    const blob = await downloadFile({ ...this.#access, path, revision });
    if (blob === null) throw new Error(`${path} is listed and not there`);
    return blob;
  }

  /** Runs a transfer, and repeats it if it breaks. A refusal of the hub is final. */
  async withRetries(transfer: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await transfer();
        return;
      } catch (error) {
        if (error instanceof HubApiError && error.statusCode < 500) throw this.refusal(error);
        if (attempt === ATTEMPTS) throw this.unreachable(reasonOf(error));
      }
    }
  }

  /** Error of a request that the hub refused, with a hint on what to do. */
  refusal(error: HubApiError): CxmindError {
    const { url, token } = this.#settings;
    const { noun, code } = words[this.#kind];
    const detail = { repository: this.#id, status: error.statusCode };
    const isClosed = error.statusCode === 401 || error.statusCode === 403;
    const hint = isClosed
      ? token === null
        ? `the hub at ${url} shows it to nobody without a token (${error.statusCode}): it does not exist, or set HF_TOKEN`
        : `the hub at ${url} does not show it to this token (${error.statusCode}): it does not exist, is private, ` +
          'or its terms are not accepted'
      : error.statusCode === 404
        ? `no such file or directory here, and no ${noun} of that name on the hub at ${url}`
        : `the hub at ${url} answered ${error.statusCode}: ${error.message}`;
    return new CxmindError(code, `${this.#id}: ${hint}`, { detail });
  }

  /** Error of a repository that is not in the cache while the hub cannot be asked. */
  unreachable(reason: string): CxmindError {
    const { url, cacheDirectory } = this.#settings;
    const { noun, code } = words[this.#kind];
    return new CxmindError(
      code,
      `${this.#id}: no such file or directory here, the ${noun} is not in the cache (${cacheDirectory}), and the hub ` +
        `at ${url} cannot be asked: ${reason}`,
      { detail: { repository: this.#id } },
    );
  }

  /** Error of an answer that no honest hub gives: it would lead out of the cache, or has no end. */
  #lie(answer: string): CxmindError {
    return new CxmindError(
      words[this.#kind].code,
      `${this.#id}: the hub at ${this.#settings.url} ${answer}`,
      {
        detail: { repository: this.#id },
      },
    );
  }
}

const words = {
  dataset: { noun: 'data set', code: 'DATA_INVALID' },
  model: { noun: 'model', code: 'CHECKPOINT_INVALID' },
} as const;

function cachedName({ path, size, lfs, oid }: ListFileEntry): CachedName {
  return { path, blob: lfs?.oid ?? oid ?? '', sizeBytes: size };
}

/** Cached part of a repository, at the commit that it was last seen at. @throws `missing` where there is none */
async function cachedRepository(
  cache: RepositoryCache,
  missing: CxmindError,
): Promise<HubRepository> {
  const commit = await cache.commitOf(REVISION);
  if (commit === null) throw missing;
  const files = await cache.files(commit);
  return { directory: cache.snapshot(commit), files, fetch: () => Promise.resolve() };
}

/** Message of the innermost cause: "fetch failed" alone says nothing. */
function reasonOf(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error
    ? reasonOf(error.cause)
    : messageOf(error);
}
