/** Grammars of structured outputs: a JSON schema or a regular expression, compiled for one tokenizer. */
import { LRUCache } from 'lru-cache';
import { Automaton } from './automaton.ts';
import { jsonSchemaPattern } from './json-schema.ts';
import { regexPattern } from './regex.ts';
import { TokenGrammar, TokenTrie } from './token-grammar.ts';

/** A grammar as it is given: a schema in JSON, or a regular expression of the whole text. */
export interface GrammarSource {
  readonly kind: 'schema' | 'regex';
  readonly text: string;
}

/** Most grammars that are kept, for later requests with the same one. */
const KEPT = 16;

/** Unique name of a source. */
export function grammarKey({ kind, text }: GrammarSource): string {
  return `${kind} ${text}`;
}

/** The automaton of a grammar. @throws DATA_INVALID for one that cannot be followed */
export function grammarAutomaton({ kind, text }: GrammarSource): Automaton {
  return new Automaton(
    kind === 'schema' ? jsonSchemaPattern(JSON.parse(text)) : regexPattern(text),
  );
}

/** The part of a tokenizer that grammars are compiled for. */
export interface GrammarTokenizer {
  /** Tokens that end a response. */
  readonly eosIds: readonly number[];
  /** Bytes of every token, by its id. */
  tokenBytes(): { readonly bytes: readonly Uint8Array[] };
}

/** Compiler of grammars for one tokenizer. */
export class Grammars {
  readonly #tokenizer: GrammarTokenizer;
  readonly #kept = new LRUCache<string, TokenGrammar>({ max: KEPT });
  #trie: TokenTrie | undefined;

  constructor(tokenizer: GrammarTokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** The grammar of a source. @throws DATA_INVALID for one that cannot be followed */
  of(source: GrammarSource): TokenGrammar {
    const key = grammarKey(source);
    let grammar = this.#kept.get(key);
    if (grammar === undefined) {
      const { eosIds } = this.#tokenizer;
      this.#trie ??= new TokenTrie(this.#tokenizer.tokenBytes().bytes, eosIds);
      grammar = new TokenGrammar(grammarAutomaton(source), this.#trie);
      this.#kept.set(key, grammar);
    }
    return grammar;
  }
}
