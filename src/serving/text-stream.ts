/** Text of a response while its tokens come, up to the first stop string. */
import type { TokenBytes } from '../text/token-bytes.ts';

/** Text that a token made certain. */
export interface TextStep {
  /** May be empty: a character is whole, and no beginning of a stop string, before it is told. */
  readonly text: string;
  /** True once the text has a stop string, which is no part of it. */
  readonly isStopped: boolean;
}

/** Decoder of one response's tokens. The sum of its texts is the text of all tokens, special ones left out. */
export class TextStream {
  readonly #tokens: TokenBytes;
  readonly #stops: readonly string[];
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  /** Bytes of a character that is not whole yet. */
  #pending: readonly number[] = [];
  /** Text that may be the beginning of a stop string. */
  #held = '';

  constructor(tokens: TokenBytes, stops: readonly string[]) {
    this.#tokens = tokens;
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** Reads the next token. */
  add(token: number): TextStep {
    const whole = this.#pending.length === 0 ? this.#tokens.text(token) : null;
    if (whole !== null) return this.#take(whole);
    const bytes = Uint8Array.of(...this.#pending, ...(this.#tokens.bytes[token] ?? []));
    const end = wholeLength(bytes);
    this.#pending = [...bytes.subarray(end)];
    return this.#take(this.#decoder.decode(bytes.subarray(0, end)));
  }

  /** Ends the response. @returns the rest of the text, none after a stop string */
  end(): string {
    const { text, isStopped } = this.#take(this.#decoder.decode(Uint8Array.from(this.#pending)));
    return isStopped ? text : text + this.#held;
  }

  #take(added: string): TextStep {
    if (this.#stops.length === 0) return { text: added, isStopped: false };
    const text = this.#held + added;
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.#held = '';
      // What follows is no part of the text, nor is a character of it that had begun.
      this.#pending = [];
      return { text: text.slice(0, Math.min(...found)), isStopped: true };
    }
    const held = this.#stops.reduce((most, stop) => Math.max(most, overlap(text, stop)), 0);
    this.#held = text.slice(text.length - held);
    return { text: text.slice(0, text.length - held), isStopped: false };
  }
}

/** Length of the longest end of `text` that a longer `stop` begins with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}

/** Length of the bytes without those of a character at the end that is not whole. */
function wholeLength(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const length = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return back < length ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
