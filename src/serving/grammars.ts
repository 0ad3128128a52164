/** Grammars of requests: `response_format` of OpenAI, and `structured_outputs` of vLLM. */
import { LRUCache } from 'lru-cache';
import { asCxmindError } from '../errors.ts';
import { Automaton } from '../generation/grammar/automaton.ts';
import { jsonSchemaPattern } from '../generation/grammar/json-schema.ts';
import type { Pattern } from '../generation/grammar/pattern.ts';
import { regexPattern } from '../generation/grammar/regex.ts';
import { TokenGrammar, TokenTrie } from '../generation/grammar/token-grammar.ts';
import type { TokenBytes } from '../text/token-bytes.ts';
import type { ChatRequest } from './chat-request.ts';
import { refusal } from './refusal.ts';

/** Grammars that are kept for requests with the same one. */
const KEPT = 16;

/** Compiler of grammars for one tokenizer. */
export class Grammars {
  readonly #tokenBytes: TokenBytes;
  readonly #endTokens: readonly number[];
  readonly #kept = new LRUCache<string, TokenGrammar>({ max: KEPT });
  #trie: TokenTrie | undefined;

  constructor(tokenBytes: TokenBytes, endTokens: readonly number[]) {
    this.#tokenBytes = tokenBytes;
    this.#endTokens = endTokens;
  }

  /**
   * The grammar of a request's responses; null where they are free.
   *
   * @throws DATA_INVALID, a refusal with status 400, for one that cannot be followed
   */
  of({ responseFormat, structuredOutputs }: ChatRequest): TokenGrammar | null {
    const hasSchema = responseFormat?.type === 'json_schema';
    if (hasSchema && structuredOutputs !== null) {
      const message = 'structured_outputs: not beside a response_format';
      throw refusal(400, message, { param: 'structured_outputs' });
    }
    if (hasSchema) {
      const { schema } = responseFormat.jsonSchema;
      const name = `schema ${JSON.stringify(schema)}`;
      return this.#compiled(name, 'response_format', () => jsonSchemaPattern(schema));
    }
    if (structuredOutputs === null) return null;
    const { regex } = structuredOutputs;
    return this.#compiled(`regex ${regex}`, 'structured_outputs', () => regexPattern(regex));
  }

  #compiled(name: string, param: string, patternOf: () => Pattern): TokenGrammar {
    const known = this.#kept.get(name);
    if (known !== undefined) return known;
    this.#trie ??= new TokenTrie(this.#tokenBytes.bytes, this.#endTokens);
    try {
      const grammar = new TokenGrammar(new Automaton(patternOf()), this.#trie);
      this.#kept.set(name, grammar);
      return grammar;
    } catch (error) {
      throw refusal(400, `${param}: ${asCxmindError(error).message}`, { param });
    }
  }
}
