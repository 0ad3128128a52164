/** Names that the hub gives, checked before they become names of files and folders of the cache. */

/** A commit's id, or the hash of a content. */
const HASH = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** Bounds of a path in bytes: of one part, which file systems set, and of the whole. */
const MAX_PART = 255;
const MAX_PATH = 1024;

/** File of a repository and the name of its content in the cache. */
export interface CachedName {
  /** Path in the repository. */
  readonly path: string;
  /** Hash of the content, from the hub's ETag: 64 hexadecimal digits of SHA-256, or 40 of a git blob's id. */
  readonly blob: string;
  readonly sizeBytes: number;
}

/** Tells whether a text is a commit id, which is then a safe folder name. */
export function isCommit(text: unknown): text is string {
  return typeof text === 'string' && HASH.test(text);
}

/**
 * Tells whether a listed file can be kept: its path stays inside the repository's folder, its content is named by a
 * hash, and its size is a natural number.
 */
export function isSafeName({ path, blob, sizeBytes }: CachedName): boolean {
  return isInnerPath(path) && HASH.test(blob) && Number.isSafeInteger(sizeBytes) && sizeBytes >= 0;
}

function isInnerPath(path: string): boolean {
  if (Buffer.byteLength(path) > MAX_PATH || /[\0\\]/.test(path)) return false;
  return path
    .split('/')
    .every((part) => !['', '.', '..'].includes(part) && Buffer.byteLength(part) <= MAX_PART);
}
