/**
 * Grammars over tokens: which tokens may come next, so that the response's text stays the beginning of one that the
 * automaton accepts. A token may end inside a character, since the automaton reads bytes.
 *
 * The tokens of a state are found once, by a walk through the trie of all tokens' bytes along the automaton.
 *
 * @see Willard and Louf, arXiv:2307.09702, for the method over a table made ahead
 */
import { LRUCache } from 'lru-cache';
import type { TokenConstraint } from '../logit-control.ts';
import type { Automaton, State } from './automaton.ts';

/** States whose tokens are kept. */
const KEPT_STATES = 512;
/** Edges that one walk follows before it gives up, and allows what it found: a bound on its time. */
const MOST_EDGES = 4_000_000;

/** A node of the trie of tokens' bytes. */
interface TrieNode {
  readonly children: Map<number, TrieNode>;
  /** Tokens whose bytes end here. */
  readonly tokens: number[];
}

/** The trie of a vocabulary. Tokens without bytes are not in it. */
export class TokenTrie {
  readonly root: TrieNode = { children: new Map(), tokens: [] };
  readonly bytes: readonly Uint8Array[];
  /** Tokens that end a response. */
  readonly endTokens: readonly number[];

  constructor(bytes: readonly Uint8Array[], endTokens: readonly number[]) {
    this.bytes = bytes;
    this.endTokens = endTokens;
    for (const [token, word] of bytes.entries()) {
      if (word.length === 0 || endTokens.includes(token)) continue;
      let node = this.root;
      for (const byte of word) {
        let child = node.children.get(byte);
        if (child === undefined)
          node.children.set(byte, (child = { children: new Map(), tokens: [] }));
        node = child;
      }
      node.tokens.push(token);
    }
  }
}

/** A grammar over the tokens of a vocabulary. Responses share what is known of it. */
export class TokenGrammar {
  readonly #automaton: Automaton;
  readonly #trie: TokenTrie;
  readonly #allowed = new LRUCache<State, Uint32Array>({ max: KEPT_STATES });

  constructor(automaton: Automaton, trie: TokenTrie) {
    this.#automaton = automaton;
    this.#trie = trie;
  }

  /** The grammar of one response. */
  begin(): TokenConstraint {
    let state: State | null = this.#automaton.start;
    return {
      allowed: () => this.#allowedAt(state),
      endTokens: this.#trie.endTokens,
      accept: (token) => {
        for (const byte of this.#trie.bytes[token] ?? []) {
          state = state && this.#automaton.step(state, byte);
        }
      },
    };
  }

  /** Tokens that may follow, and the end tokens where the text is complete or nothing may follow. */
  #allowedAt(state: State | null): Uint32Array {
    const known = state && this.#allowed.get(state);
    if (known) return known;
    const words = Math.ceil(
      Math.max(this.#trie.bytes.length, 1 + Math.max(0, ...this.#trie.endTokens)) / 32,
    );
    const bits = new Uint32Array(words);
    const allow = (token: number): void => {
      bits[token >>> 5]! |= 1 << (token & 31);
    };
    const hasToken = state !== null && this.#walk(state, allow);
    if (!hasToken || state.isAccepting) this.#trie.endTokens.forEach(allow);
    if (state !== null) this.#allowed.set(state, bits);
    return bits;
  }

  /** Calls `allow` with every token that the automaton reads from a state. @returns whether there is one */
  #walk(from: State, allow: (token: number) => void): boolean {
    let hasToken = false;
    let edges = 0;
    const open: [TrieNode, State][] = [[this.#trie.root, from]];
    for (let top = open.pop(); top !== undefined && edges < MOST_EDGES; top = open.pop()) {
      const [node, state] = top;
      for (const [byte, child] of node.children) {
        edges++;
        const next = this.#automaton.step(state, byte);
        if (next === null) continue;
        for (const token of child.tokens) allow(token);
        hasToken ||= child.tokens.length > 0;
        if (child.children.size > 0) open.push([child, next]);
      }
    }
    return hasToken;
  }
}
