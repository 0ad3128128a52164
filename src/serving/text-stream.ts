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
  readonly #bytes: TokenBytes['bytes'];
  readonly #stops: readonly string[];
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  /** Text that may be the beginning of a stop string. */
  #held = '';

  constructor({ bytes }: TokenBytes, stops: readonly string[]) {
    this.#bytes = bytes;
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** Reads the next token. */
  add(token: number): TextStep {
    return this.#take(this.#decoder.decode(this.#bytes[token], { stream: true }));
  }

  /** Ends the response. @returns the rest of the text */
  end(): string {
    const { text, isStopped } = this.#take(this.#decoder.decode());
    return isStopped ? text : text + this.#held;
  }

  #take(added: string): TextStep {
    const text = this.#held + added;
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.#held = '';
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
