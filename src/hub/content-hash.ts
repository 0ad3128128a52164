import { createHash, type Hash } from 'node:crypto';

/**
 * The hash of a file's content as the hub names it: SHA-256 of what is stored outside git, and of what is in git
 * its blob's id.
 *
 * @see git-scm.com/book/en/v2/Git-Internals-Git-Objects
 */
export class ContentHash {
  readonly #hash: Hash;

  /** @param name the expected hash, whose length tells which it is */
  constructor(name: string, sizeBytes: number) {
    const isStoredOutside = name.length === 64;
    this.#hash = createHash(isStoredOutside ? 'sha256' : 'sha1');
    if (!isStoredOutside) this.#hash.update(`blob ${sizeBytes}\0`);
  }

  update(content: Uint8Array): void {
    this.#hash.update(content);
  }

  /** In hexadecimal; nothing can be added after. */
  digest(): string {
    return this.#hash.digest('hex');
  }
}
