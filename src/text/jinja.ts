import { createContext, Script, type Context } from 'node:vm';
import { parse, Template, tokenize } from '@huggingface/jinja';
import { CxmindError, type ErrorCode } from '../errors.ts';

const call = new Script('render()');

/** How a template is read. */
export interface JinjaOptions {
  /** What the template is called in messages. */
  readonly origin: string;
  /** Code of the error that a wrong template raises. */
  readonly code: ErrorCode;
  /** Whether blocks take the white space around them away, as in transformers' chat templates. */
  readonly trimBlocks: boolean;
  /** Milliseconds that one rendering may take; 4,000 when left out, of which an ordinary one takes less than one. */
  readonly timeLimitMs?: number;
}

/** A Jinja template that somebody else wrote: its rendering is ended when it takes too long. */
export class JinjaTemplate {
  readonly #template = new Template('');
  readonly #options: JinjaOptions;
  readonly #context: Context = createContext({});
  /** Why it is not rendered any more: one that did not end once would take as long again. */
  #endless: CxmindError | null = null;

  /** @throws the code of the options when the source does not parse */
  constructor(source: string, options: JinjaOptions) {
    this.#options = options;
    const { trimBlocks } = options;
    try {
      // The class's own constructor always trims.
      const tokens = tokenize(source, { trim_blocks: trimBlocks, lstrip_blocks: trimBlocks });
      this.#template.parsed = parse(tokens);
    } catch (cause) {
      throw this.#error(messageOf(cause), cause);
    }
  }

  /**
   * Renders the template.
   *
   * @throws the code of the options when the template raises an error or does not end
   */
  render(variables: Readonly<Record<string, unknown>>): string {
    const { timeLimitMs: timeout = 4_000 } = this.#options;
    if (this.#endless !== null) throw this.#endless;
    this.#context['render'] = () => this.#template.render(variables);
    try {
      // V8 ends all that runs inside the call, the library's own loops too.
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

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
