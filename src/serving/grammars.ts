/**
 * Grammars of requests: `response_format` of OpenAI, and `structured_outputs` of vLLM.
 *
 * The thread of the API refuses those that cannot be followed, and that of the engine compiles the others.
 */
import { LRUCache } from 'lru-cache';
import { asCxmindError } from '../errors.ts';
import {
  grammarAutomaton,
  grammarKey,
  type GrammarSource,
} from '../generation/grammar/grammars.ts';
import type { ChatRequest } from './chat-request.ts';
import { refusal } from './refusal.ts';

/** Most grammars that are kept, for later requests with the same one. */
const KEPT = 16;

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
      const key = grammarKey(source);
      if (!this.#known.has(key)) this.#known.set(key, grammarAutomaton(source));
      return source;
    } catch (error) {
      throw refusal(400, `${param}: ${asCxmindError(error).message}`, { param });
    }
  }
}
