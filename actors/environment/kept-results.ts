/** Results of tools that give the same each time, kept within a bound on their bytes. Those used last stay. */
import { LRUCache } from 'lru-cache';
import type { ShownMessage } from '../../src/environment/environment.ts';

/** Results by the content of their calls. A call under way has no size yet, and is made once. */
export class KeptResults {
  readonly #kept: LRUCache<string, ShownMessage, () => Promise<ShownMessage>>;

  /** @param mostBytes bound on all results and their keys; a longer result is not kept */
  constructor(mostBytes: number) {
    this.#kept = new LRUCache({
      maxSize: mostBytes,
      sizeCalculation: (message, key) => 2 * key.length + sizeBytesOf(message),
      fetchMethod: (_key, _stale, { context: ask }) => ask(),
      // Whoever waits gets the result, also of a call that had to make room for others.
      ignoreFetchAbort: true,
    });
  }

  /** The result that is kept or under way, else that of `ask`. A call that fails leaves nothing. */
  of(key: string, ask: () => Promise<ShownMessage>): Promise<ShownMessage> {
    return this.#kept.forceFetch(key, { context: ask });
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
