/** Results of tools that give the same each time, kept within a bound on their bytes. Those used last stay. */
import { LRUCache } from 'lru-cache';
import type { ShownMessage } from '../../src/environment/environment.ts';

/** Results by the content of their calls. */
export class KeptResults {
  readonly #kept: LRUCache<string, ShownMessage>;
  /** Calls under way. Their results have no size yet. */
  readonly #asked = new Map<string, Promise<ShownMessage>>();

  /** @param mostBytes bound on all results and their keys; a longer result is not kept */
  constructor(mostBytes: number) {
    this.#kept = new LRUCache({
      maxSize: mostBytes,
      sizeCalculation: (message, key) => 2 * key.length + sizeBytesOf(message),
    });
  }

  /** The result that is kept or under way, else that of `ask`. A call that fails leaves nothing. */
  async of(key: string, ask: () => Promise<ShownMessage>): Promise<ShownMessage> {
    const known = this.#kept.get(key) ?? this.#asked.get(key);
    if (known !== undefined) return await known;
    const asked = ask();
    this.#asked.set(key, asked);
    try {
      const result = await asked;
      this.#kept.set(key, result);
      return result;
    } finally {
      this.#asked.delete(key);
    }
  }
}

/** Bytes of a message in memory, at two a character. */
function sizeBytesOf({ content }: ShownMessage): number {
  if (typeof content === 'string') return 2 * content.length;
  return content.reduce((sum, part) => {
    if (part.type === 'text') return sum + 2 * part.text.length;
    const { image } = part;
    return sum + (typeof image === 'string' ? 2 * image.length : image.byteLength);
  }, 0);
}
