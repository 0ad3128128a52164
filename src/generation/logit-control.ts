/**
 * Control of what a response may say: penalties of tokens that were said, biases, bad words, a grammar, min-p.
 *
 * A control changes what a token is drawn from, and never its log-probability, which stays that of the model. The
 * changes of a draw come in the order of vLLM: repetition penalty, presence and frequency penalty, bias and bad words,
 * grammar, temperature, min-p, top-k, top-p. Repetition penalty and bad words look at the prompt too, as in
 * transformers; the other two penalties look at the response alone, as OpenAI's do.
 *
 * @see CTRL, arXiv:1909.05858, section 4.1 (repetition penalty); arXiv:2407.01082 (min-p)
 */

/** Grammar of one response, which knows after each token what may follow. */
export interface TokenConstraint {
  /** Tokens that may come next, one bit each in words of 32; never none. */
  allowed(): Uint32Array;
  /** Tokens that end a response. */
  readonly endTokens: readonly number[];
  /** Reads the token that came. */
  accept(token: number): void;
}

/** Controls of a request's responses. */
export interface LogitControls {
  /** Divides positive logits of tokens that were said and multiplies negative ones; 1 is off. */
  readonly repetitionPenalty: number;
  /** Taken from the logits of tokens of the response; 0 is off. */
  readonly presencePenalty: number;
  /** Taken from the logit of a token for each time that the response has it; 0 is off. */
  readonly frequencyPenalty: number;
  /** Added to logits, by token. */
  readonly logitBias: ReadonlyMap<number, number>;
  /** Sequences of tokens, of which none is ever completed. */
  readonly badWords: readonly (readonly number[])[];
  /** Least probability of a token, as a share of the likeliest one's; 0 is off. */
  readonly minP: number;
  /** Number of likeliest tokens told with each draw. */
  readonly topLogProbs: number;
  /** Makes the grammar of a response; null for none. */
  readonly constraint: (() => TokenConstraint) | null;
}

/** Controls that change nothing. */
export const NO_CONTROLS: LogitControls = {
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
  badWords: [],
  minP: 0,
  topLogProbs: 0,
  constraint: null,
};

/** Most likeliest tokens that are told with a draw, as OpenAI allows. */
export const MOST_TOP_LOGPROBS = 20;

/** Changes of one draw's logits, before the temperature. */
export interface LogitEdit {
  /** Change by token. */
  readonly changes: ReadonlyMap<number, LogitChange>;
  /** Tokens that may be drawn, one bit each in words of 32; null allows all. */
  readonly allowed: Uint32Array | null;
  readonly minP: number;
  readonly topLogProbs: number;
}

/** Change of one logit: a positive one is divided by `factor`, a negative one multiplied; then `offset` is added. */
export interface LogitChange {
  readonly factor: number;
  readonly offset: number;
}

/**
 * Logit of a token that is never drawn, or what is added to it: the probability is 0 in f32 at any temperature. It also
 * serves as the logarithm of 0.
 */
export const NEVER = -1e30;

/** The controls of one response and the tokens it has so far. */
export class LogitHistory {
  readonly #controls: LogitControls;
  readonly #constraint: TokenConstraint | null;
  /** Prompt and response. Kept only for bad words. */
  readonly #tokens: number[];
  readonly #said: Set<number>;
  /** Times that the response has a token. */
  readonly #counts = new Map<number, number>();
  #isDeadEnd = false;

  /** @param prompt i32 `[T]` */
  constructor(controls: LogitControls, prompt: Int32Array) {
    this.#controls = controls;
    this.#constraint = controls.constraint?.() ?? null;
    this.#tokens = controls.badWords.length > 0 ? [...prompt] : [];
    this.#said = new Set(controls.repetitionPenalty === 1 ? [] : prompt);
  }

  /** Tells whether bad words forbid all that the grammar allows next. The response ends with the next draw then. */
  get isDeadEnd(): boolean {
    return this.#isDeadEnd;
  }

  /** Changes of the next draw, which is of an end token at a dead end. */
  next(): LogitEdit {
    const { minP, topLogProbs } = this.#controls;
    const allowed = this.#constraint?.allowed() ?? null;
    const forbidden = [...this.#completions()];
    this.#isDeadEnd = allowed !== null && areAllIn(allowed, forbidden);
    if (this.#isDeadEnd) {
      const ends = bitsOf(this.#constraint!.endTokens, allowed!.length);
      return { changes: new Map(), allowed: ends, minP, topLogProbs };
    }
    return { changes: this.#changes(forbidden), allowed, minP, topLogProbs };
  }

  /** Adds a token to the response. */
  add(token: number): void {
    const { repetitionPenalty, badWords } = this.#controls;
    this.#constraint?.accept(token);
    this.#counts.set(token, (this.#counts.get(token) ?? 0) + 1);
    if (repetitionPenalty !== 1) this.#said.add(token);
    if (badWords.length > 0) this.#tokens.push(token);
  }

  #changes(forbidden: readonly number[]): Map<number, LogitChange> {
    const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = this.#controls;
    const changes = new Map<number, LogitChange>();
    const addTo = (token: number, offset: number): void => {
      const { factor, offset: before } = changes.get(token) ?? { factor: 1, offset: 0 };
      changes.set(token, { factor, offset: before + offset });
    };
    for (const token of this.#said) changes.set(token, { factor: repetitionPenalty, offset: 0 });
    if (presencePenalty !== 0 || frequencyPenalty !== 0) {
      for (const [token, count] of this.#counts) {
        addTo(token, -presencePenalty - count * frequencyPenalty);
      }
    }
    for (const [token, bias] of logitBias) addTo(token, bias);
    for (const token of forbidden) addTo(token, NEVER);
    return changes;
  }

  /** Last tokens of bad words whose other tokens stand at the end. */
  *#completions(): Generator<number> {
    for (const word of this.#controls.badWords) {
      const before = word.length - 1;
      const start = this.#tokens.length - before;
      if (word.slice(0, before).every((token, i) => this.#tokens[start + i] === token)) {
        yield word[before]!;
      }
    }
  }
}

/** Tells whether a set of tokens in bits has none but given ones. */
function areAllIn(bits: Uint32Array, tokens: readonly number[]): boolean {
  if (tokens.length === 0) return false;
  const given = bitsOf(tokens, bits.length);
  return bits.every((word, i) => (word & ~given[i]!) === 0);
}

/** A set of tokens, one bit each in words of 32. */
function bitsOf(tokens: readonly number[], words: number): Uint32Array {
  const bits = new Uint32Array(words);
  for (const token of tokens) bits[token >>> 5]! |= 1 << (token & 31);
  return bits;
}
