import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as t from 'io-ts';
import { LRUCache } from 'lru-cache';
import { parsedJson } from '../../check/json.ts';
import { asCxmindError, CxmindError, messageOf } from '../../errors.ts';
import { writeFileAtomically } from '../../files.ts';

const Line = t.type({ key: t.string, content: t.string });

/**
 * Answers by the digest of what was asked, in memory and, where a path is given, in a file of JSON lines.
 *
 * At most `size` answers are kept, those used last. A file is read once and appended to; it is written anew when it is
 * opened with more than twice that many lines. Lines that a crash cut off are skipped. A file that runs share loses
 * nothing but answers, which are asked for again.
 */
export class AnswerCache {
  readonly #kept: LRUCache<string, string>;
  readonly #path: string | null;
  readonly #warn: (message: string) => void;
  #hasWarned = false;

  private constructor(size: number, path: string | null, warn: (message: string) => void) {
    this.#kept = new LRUCache({ max: size });
    this.#path = path;
    this.#warn = warn;
  }

  /**
   * Opens a cache.
   *
   * @param size most answers that are kept, 1 or more
   * @param warn receives one line about the first answer that cannot be written, for instance to a full disk
   * @throws CONFIG_INVALID for a file that cannot be read or written
   */
  static async open(
    size: number,
    path: string | null,
    warn: (message: string) => void = () => undefined,
  ): Promise<AnswerCache> {
    const cache = new AnswerCache(size, path, warn);
    if (path === null) return cache;
    try {
      await mkdir(dirname(path), { recursive: true });
      await cache.#read(path);
    } catch (cause) {
      const { message } = asCxmindError(cause);
      throw new CxmindError('CONFIG_INVALID', `judge: cache_path ${path}: ${message}`, { cause });
    }
    return cache;
  }

  /** The answer to a request; undefined if there is none. */
  get(key: string): string | undefined {
    return this.#kept.get(key);
  }

  /** Keeps an answer. One that cannot be written stays in memory. */
  async set(key: string, content: string): Promise<void> {
    this.#kept.set(key, content);
    if (this.#path === null) return;
    try {
      await appendFile(this.#path, `${lineOf(key, content)}\n`);
    } catch (error) {
      if (this.#hasWarned) return;
      this.#hasWarned = true;
      this.#warn(`judge: cache_path ${this.#path}: answers are not written: ${messageOf(error)}`);
    }
  }

  async #read(path: string): Promise<void> {
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw error;
    });
    const lines = text.split('\n').filter((line) => line !== '');
    for (const line of lines) {
      const entry = parsedJson(line);
      if (Line.is(entry)) this.#kept.set(entry.key, entry.content);
    }
    const isTorn = text !== '' && !text.endsWith('\n');
    if (lines.length <= 2 * this.#kept.max && !isTorn) return;
    const kept = [...this.#kept.entries()].reverse();
    await writeFileAtomically(
      path,
      kept.map(([key, content]) => `${lineOf(key, content)}\n`).join(''),
    );
  }
}

function lineOf(key: string, content: string): string {
  return JSON.stringify({ key, content });
}
