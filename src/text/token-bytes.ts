/**
 * Bytes of single tokens, for readers that cannot wait for a whole text: streams and grammars.
 *
 * A token may end inside a character, so the text of tokens is the decoded sum of their bytes. Two kinds of tokenizers
 * are known: those of GPT-2, whose vocabulary writes every byte as a letter, and those of SentencePiece, whose
 * vocabulary has `▁` for a space and `<0xE2>` for a single byte.
 */
import * as t from 'io-ts';
import { attempt, CxmindError } from '../errors.ts';

const Decoder = t.intersection([
  t.type({ type: t.string }),
  t.partial({ decoders: t.array(t.type({ type: t.string })) }),
]);
const TokenizerFile = t.intersection([
  t.type({ decoder: t.union([Decoder, t.null]) }),
  t.partial({
    added_tokens: t.array(t.type({ id: t.number, content: t.string, special: t.boolean })),
  }),
]);

/** Bytes of every token. */
export interface TokenBytes {
  /** Bytes by token id; none of special tokens, whose text is not shown, and of ids without a token. */
  readonly bytes: readonly Uint8Array[];
  /** Text of a token whose characters are whole; null of any other. */
  readonly text: (token: number) => string | null;
  /** Bytes of a special token, or of any other. */
  readonly shown: (token: number) => Uint8Array;
}

/**
 * Reads the bytes of all tokens.
 *
 * @param json       content of `tokenizer.json`
 * @param vocabulary id of each token, added tokens among them
 * @throws CHECKPOINT_INVALID for a tokenizer of another kind
 */
export function tokenBytes(json: object, vocabulary: ReadonlyMap<string, number>): TokenBytes {
  const file = TokenizerFile.is(json) ? json : null;
  const kinds = [file?.decoder?.type, ...(file?.decoder?.decoders ?? []).map(({ type }) => type)];
  const read = kinds.includes('ByteLevel')
    ? byteLevelReader()
    : kinds.includes('ByteFallback')
      ? pieceBytes
      : null;
  if (read === null) {
    const message = `tokens of a tokenizer with the decoder ${kinds.join(', ')} are not known byte by byte`;
    throw new CxmindError('CHECKPOINT_INVALID', message);
  }
  const encoder = new TextEncoder();
  const none = new Uint8Array();
  const size = Math.max(-1, ...vocabulary.values()) + 1;
  const bytes = new Array<Uint8Array>(size).fill(none);
  for (const [token, id] of vocabulary) bytes[id] = read(token);
  const special = new Map<number, Uint8Array>();
  for (const { id, content, special: isSpecial } of file?.added_tokens ?? []) {
    const text = encoder.encode(content);
    bytes[id] = isSpecial ? none : text;
    if (isSpecial) special.set(id, text);
  }
  return {
    bytes,
    text: wholeTexts(bytes),
    shown: (token) => special.get(token) ?? bytes[token] ?? none,
  };
}

/** Texts of tokens, each made when it is first asked for. */
function wholeTexts(bytes: readonly Uint8Array[]): TokenBytes['text'] {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const known = new Map<number, string | null>();
  const decoded = (token: number): string | null => attempt(() => decoder.decode(bytes[token]));
  return (token) => {
    let text = known.get(token);
    if (text === undefined) known.set(token, (text = decoded(token)));
    return text;
  };
}

/** Reader of GPT-2's letters: printable Latin-1 stands for itself, the other bytes for letters from U+0100 on. */
function byteLevelReader(): (token: string) => Uint8Array {
  const byteOf = new Map<number, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const isPrintable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    byteOf.set(isPrintable ? byte : next++, byte);
  }
  return (token) => Uint8Array.from(token, (letter) => byteOf.get(letter.codePointAt(0)!) ?? 0);
}

/** Bytes of a SentencePiece token. */
function pieceBytes(token: string): Uint8Array {
  const byte = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
  return new TextEncoder().encode(token.replaceAll('▁', ' '));
}
