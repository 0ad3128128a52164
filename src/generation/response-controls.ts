/**
 * Controls of responses in words, as configs and flags have them, made into controls of logits.
 *
 * Names and neutral values are those of vLLM's sampling parameters.
 */
import { Grammars, type GrammarSource, type GrammarTokenizer } from './grammar/grammars.ts';
import { NO_CONTROLS, type LogitControls } from './logit-control.ts';

/** Controls that configs and requests write as the engine takes them. */
const plain = ['minP', 'repetitionPenalty', 'presencePenalty', 'frequencyPenalty'] as const;

/** Form that responses must have; one of the two, or none where both are null. */
export interface StructuredOutputs {
  /** Regular expression of the whole response. */
  readonly regex: string | null;
  /** JSON schema of the response. */
  readonly json: Readonly<Record<string, unknown>> | null;
}

/** Controls of what responses may say. */
export interface ResponseControls extends Pick<LogitControls, (typeof plain)[number]> {
  /** Texts that responses never have. */
  readonly badWords: readonly string[];
  readonly structuredOutputs: StructuredOutputs;
}

/** The part of a tokenizer that controls are made with. */
interface ControlTokenizer extends GrammarTokenizer {
  encode(text: string): readonly number[];
}

/** The grammar of structured outputs; null where responses are free. */
export function grammarSource({ regex, json }: StructuredOutputs): GrammarSource | null {
  if (json !== null) return { kind: 'schema', text: JSON.stringify(json) };
  return regex === null ? null : { kind: 'regex', text: regex };
}

/** Tells whether controls change nothing. */
export function isNeutral(controls: ResponseControls): boolean {
  const { badWords, structuredOutputs } = controls;
  return (
    plain.every((name) => controls[name] === NO_CONTROLS[name]) &&
    badWords.length === 0 &&
    grammarSource(structuredOutputs) === null
  );
}

/** Compiler of controls for one tokenizer. */
export class ControlCompiler {
  readonly #tokenizer: ControlTokenizer;
  readonly #grammars: Grammars;

  constructor(tokenizer: ControlTokenizer) {
    this.#tokenizer = tokenizer;
    this.#grammars = new Grammars(tokenizer);
  }

  /**
   * Controls of logits.
   *
   * @throws DATA_INVALID for structured outputs that cannot be followed; CHECKPOINT_INVALID for a tokenizer whose tokens
   *   are not known byte by byte
   */
  of({ badWords, structuredOutputs, ...numbers }: ResponseControls): LogitControls {
    const { minP, repetitionPenalty, presencePenalty, frequencyPenalty } = numbers;
    const source = grammarSource(structuredOutputs);
    const grammar = source && this.#grammars.of(source);
    return {
      ...NO_CONTROLS,
      ...{ minP, repetitionPenalty, presencePenalty, frequencyPenalty },
      badWords: badTokens(badWords, this.#tokenizer),
      constraint: grammar && (() => grammar.begin()),
    };
  }
}

/** The tokens of each word, at the beginning of a text and, as vLLM does, after a space. */
export function badTokens(
  words: readonly string[],
  tokenizer: Pick<ControlTokenizer, 'encode'>,
): (readonly number[])[] {
  return words
    .flatMap((word) => [word, ` ${word.trimStart()}`])
    .map((word) => tokenizer.encode(word))
    .filter((tokens) => tokens.length > 0);
}
