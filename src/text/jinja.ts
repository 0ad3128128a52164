import { createContext, Script, type Context } from 'node:vm';
import { parse, Template, tokenize } from '@huggingface/jinja';
import { CxmindError, messageOf, type ErrorCode } from '../errors.ts';

const call = new Script('render()');

/** Kinds of nodes that may repeat others, or make values larger than the given ones. */
const repeating: readonly unknown[] = ['For', 'Macro', 'CallStatement', 'CallExpression', 'Set'];

/** Options of a template. */
export interface JinjaOptions {
  /** Name of the template in messages. */
  readonly origin: string;
  /** Code of the errors of this template. */
  readonly code: ErrorCode;
  /** Removes the white space around blocks, as in transformers' chat templates. */
  readonly trimBlocks: boolean;
  /** Time limit of one rendering; 4,000 ms if absent. An ordinary rendering takes less than 1 ms. */
  readonly timeLimitMs?: number;
}

/** Jinja template of unknown origin: a rendering that takes too long is ended. */
export class JinjaTemplate {
  readonly #template = new Template('');
  readonly #options: JinjaOptions;
  /** Context of renderings that may take long; null for a template that is done once each of its nodes was visited. */
  readonly #context: Context | null;
  /** Error of an earlier rendering that did not end. Another one would take as long, so it is not tried. */
  #endless: CxmindError | null = null;

  /** @throws the code of the options if the source does not parse */
  constructor(source: string, options: JinjaOptions) {
    this.#options = options;
    const { trimBlocks } = options;
    try {
      // The library's own constructor always trims.
      const tokens = tokenize(source, { trim_blocks: trimBlocks, lstrip_blocks: trimBlocks });
      this.#template.parsed = parse(tokens);
      this.#context = repeats(this.#template.parsed) ? createContext({}) : null;
    } catch (cause) {
      throw this.#error(messageOf(cause), cause);
    }
  }

  /**
   * Renders the template.
   *
   * @param options.hasTimeLimit false leaves out the time limit, which takes a thread for each rendering, and which a
   *   template without loops, calls and variables of its own does not need
   * @throws the code of the options if the template raises an error or does not end
   */
  render(
    variables: Readonly<Record<string, unknown>>,
    { hasTimeLimit = true }: { readonly hasTimeLimit?: boolean } = {},
  ): string {
    const { timeLimitMs: timeout = 4_000 } = this.#options;
    if (this.#endless !== null) throw this.#endless;
    try {
      if (!hasTimeLimit || this.#context === null) return this.#template.render(variables);
      this.#context['render'] = () => this.#template.render(variables);
      // V8 ends everything that runs inside this call, the loops of the library included.
      return call.runInContext(this.#context, { timeout }) as string;
    } catch (cause) {
      if ((cause as { code?: unknown }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') {
        throw this.#error(messageOf(cause), cause);
      }
      const reason = `not rendered after ${timeout / 1000} s; does a loop in it end?`;
      this.#endless = this.#error(reason);
      throw this.#endless;
    }
  }

  #error(reason: string, cause?: unknown): CxmindError {
    const { code, origin } = this.#options;
    return new CxmindError(code, `${origin}: ${reason}`, { cause, detail: { origin } });
  }
}

/** Tells whether a node of a parsed template, or one within it, is of a repeating kind. */
function repeats(node: unknown): boolean {
  if (typeof node !== 'object' || node === null) return false;
  if ('type' in node && repeating.includes(node.type)) return true;
  return Object.values(node).some(repeats);
}
