/**
 * Grammars of requests: `response_format` of OpenAI, and `structured_outputs` of vLLM.
 *
 * The thread of the API refuses those that cannot be followed, and that of the engine compiles the others.
 */
import { LRUCache } from 'lru-cache';
import { asCxmindError } from '../errors.ts';
import { Automaton } from '../generation/grammar/automaton.ts';
import { jsonSchemaPattern } from '../generation/grammar/json-schema.ts';
import type { Pattern } from '../generation/grammar/pattern.ts';
import { regexPattern } from '../generation/grammar/regex.ts';
import { TokenGrammar, TokenTrie } from '../generation/grammar/token-grammar.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { ChatRequest } from './chat-request.ts';
import { refusal } from './refusal.ts';

/** Grammars that are kept for requests with the same one. */
const KEPT = 16;

/** A grammar as a request gives it: a schema in JSON, or a regular expression. */
export interface GrammarSource {
  readonly kind: 'schema' | 'regex';
  readonly text: string;
}

/** Reader of the grammars of requests. */
export class GrammarReader {
  /** Automata of grammars that can be followed, by their sources. */
  readonly #known = new LRUCache<string, object>({ max: KEPT });

  /**
   * The source of the grammar of a request's responses; null where they are free.
   *
   * @throws DATA_INVALID, a refusal with status 400, for one that cannot be followed
   */
  read({ responseFormat, structuredOutputs }: ChatRequest): GrammarSource | null {
    const hasSchema = responseFormat?.type === 'json_schema';
    if (hasSchema && structuredOutputs !== null) {
      const message = 'structured_outputs: not beside a response_format';
      throw refusal(400, message, { param: 'structured_outputs' });
    }
    if (hasSchema) {
      const { schema } = responseFormat.jsonSchema;
      return this.#checked('response_format', () => ({
        kind: 'schema',
        text: JSON.stringify(schema),
      }));
    }
    if (structuredOutputs === null) return null;
    const { regex } = structuredOutputs;
    return this.#checked('structured_outputs', () => ({ kind: 'regex', text: regex }));
  }

  #checked(param: string, sourceOf: () => GrammarSource): GrammarSource {
    try {
      const source = sourceOf();
      const key = keyOf(source);
      if (!this.#known.has(key)) this.#known.set(key, new Automaton(patternOf(source)));
      return source;
    } catch (error) {
      throw refusal(400, `${param}: ${asCxmindError(error).message}`, { param });
    }
  }
}

/** Compiler of grammars for one tokenizer. */
export class Grammars {
  readonly #tokenizer: Tokenizer;
  readonly #kept = new LRUCache<string, TokenGrammar>({ max: KEPT });
  #trie: TokenTrie | undefined;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** The grammar of a source. @throws DATA_INVALID for one that cannot be followed */
  of(source: GrammarSource): TokenGrammar {
    const key = keyOf(source);
    let grammar = this.#kept.get(key);
    if (grammar === undefined) {
      const { eosIds } = this.#tokenizer;
      this.#trie ??= new TokenTrie(this.#tokenizer.tokenBytes().bytes, eosIds);
      grammar = new TokenGrammar(new Automaton(patternOf(source)), this.#trie);
      this.#kept.set(key, grammar);
    }
    return grammar;
  }
}

function keyOf({ kind, text }: GrammarSource): string {
  return `${kind} ${text}`;
}

function patternOf({ kind, text }: GrammarSource): Pattern {
  return kind === 'schema' ? jsonSchemaPattern(JSON.parse(text)) : regexPattern(text);
}
