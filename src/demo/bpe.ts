/**
 * Byte-level BPE (Sennrich et al., arXiv:1508.07909), trained with the ids of the Hugging Face trainer.
 *
 * The demo trains its tokenizer, because its vocabulary follows from its questions, which depend on the seed. A
 * `tokenizer.json` in the repository would have 1,624 lines and would fit one seed.
 */

/** Pattern by which Qwen2 cuts text before merging: contractions, words, single digits, punctuation, white space. */
export const pretokenPattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" +
  '|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** Trained byte-level BPE. The id of a token is its index. */
export interface Bpe {
  /** Tokens in the byte alphabet: the 256 bytes, then one for each merge. */
  readonly tokens: readonly string[];
  /** Pairs of tokens, first merge first. */
  readonly merges: readonly (readonly [string, string])[];
}

/**
 * Character of each byte: printable Latin-1 stands for itself, the other 68 bytes take U+0100 and up, in order.
 *
 * @see GPT-2's `bytes_to_unicode`
 */
export function byteAlphabet(): readonly string[] {
  let next = 0x100;
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(isPrintable(byte) ? byte : next++),
  );
}

/** Distinct pretoken: its tokens so far, and its number of occurrences. */
interface Word {
  readonly count: number;
  ids: number[];
}

/** Factor of the first id of a pair, which makes a pair a number. Ids stay below it. */
const radix = 2 ** 20;

function countWords(texts: Iterable<string>, idOf: ReadonlyMap<string, number>): Word[] {
  const pattern = new RegExp(pretokenPattern, 'gu');
  const alphabet = byteAlphabet();
  const encoder = new TextEncoder();
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [piece] of text.normalize('NFC').matchAll(pattern)) {
      counts.set(piece, (counts.get(piece) ?? 0) + 1);
    }
  }
  return [...counts].map(([piece, count]) => ({
    count,
    ids: Array.from(encoder.encode(piece), (byte) => idOf.get(alphabet[byte]!)!),
  }));
}

/** Counts of pairs over all words, and the words that each pair may occur in. */
class PairIndex {
  readonly counts = new Map<number, number>();
  readonly #words = new Map<number, Set<Word>>();

  add(word: Word, sign: 1 | -1): void {
    for (let i = 0; i + 1 < word.ids.length; i++) {
      const pair = word.ids[i]! * radix + word.ids[i + 1]!;
      this.counts.set(pair, (this.counts.get(pair) ?? 0) + sign * word.count);
      if (sign > 0) {
        const words = this.#words.get(pair);
        if (words === undefined) this.#words.set(pair, new Set([word]));
        else words.add(word);
      }
    }
  }

  /** Most frequent pair that occurs at least twice; of equally frequent ones that with the smallest ids. */
  best(): number | undefined {
    let best: number | undefined;
    let bestCount = 1;
    for (const [pair, count] of this.counts) {
      if (count > bestCount || (count === bestCount && best !== undefined && pair < best)) {
        best = pair;
        bestCount = count;
      }
    }
    return best;
  }

  take(pair: number): Iterable<Word> {
    const words = this.#words.get(pair) ?? new Set();
    this.#words.delete(pair);
    this.counts.delete(pair);
    return words;
  }
}

function merged(ids: readonly number[], left: number, right: number, into: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      result.push(into);
      i++;
    } else {
      result.push(ids[i]!);
    }
  }
  return result;
}

/**
 * Trains a byte-level BPE: repeatedly merges the most frequent pair of neighbours into a token.
 *
 * @param size number of tokens wanted, the 256 bytes included; there are fewer if no pair occurs twice any more
 */
export function trainBpe(texts: Iterable<string>, size: number): Bpe {
  const tokens = [...byteAlphabet()].sort();
  const words = countWords(texts, new Map(tokens.map((token, id) => [token, id])));
  const merges: [string, string][] = [];
  const pairs = new PairIndex();
  for (const word of words) pairs.add(word, 1);
  while (tokens.length < size) {
    const pair = pairs.best();
    if (pair === undefined) break;
    const left = Math.floor(pair / radix);
    const right = pair % radix;
    const id = tokens.length;
    merges.push([tokens[left]!, tokens[right]!]);
    tokens.push(tokens[left]! + tokens[right]!);
    for (const word of pairs.take(pair)) {
      pairs.add(word, -1);
      word.ids = merged(word.ids, left, right, id);
      pairs.add(word, 1);
    }
    pairs.counts.delete(pair);
  }
  return { tokens, merges };
}
