const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const HASH = COMMIT;
/** Longest part of a path that file systems take, in bytes, and longest path. */
const MAX_PART = 255;
const MAX_PATH = 1024;

/** A file of a repository, and the name its content has in the cache. */
export interface CachedName {
  /** Path in the repository. */
  readonly path: string;
  /** The content's hash, as the hub's ETag says it: 64 hexadecimal digits of SHA-256, or 40 of a git blob. */
  readonly blob: string;
  readonly sizeBytes: number;
}

/** Whether a text is the id of a commit, and so a name for a folder. */
export function isCommit(text: unknown): text is string {
  return typeof text === 'string' && COMMIT.test(text);
}

/**
 * Whether a file that a server lists can be kept: its path leads into the folder of its repository and nowhere else,
 * its content is named by its hash, and its size is one.
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
