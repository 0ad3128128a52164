import { readFileSync } from 'node:fs';
import { parse, Template, tokenize } from '@huggingface/jinja';
import { CxmindError } from '../errors.ts';

/** Wraps a prompt in fixed instructions: a Jinja template with the one variable `content`. */
export class PromptFormat {
  readonly #template: Template;

  /**
   * @param source the template; white space around it is removed
   * @throws CONFIG_INVALID when it does not parse
   */
  constructor(source: string, origin = 'format prompt') {
    try {
      this.#template = new Template('');
      // The class trims blocks, as chat templates want; a format prompt has Jinja's own defaults.
      this.#template.parsed = parse(tokenize(source.trim()));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CxmindError('CONFIG_INVALID', `${origin}: ${reason}`, { cause });
    }
  }

  /** @throws CONFIG_INVALID when the file is missing or does not parse */
  static load(path: string): PromptFormat {
    let source: string;
    try {
      source = readFileSync(path, 'utf8');
    } catch (cause) {
      throw new CxmindError('CONFIG_INVALID', `format prompt ${path}: ${String(cause)}`, { cause });
    }
    return new PromptFormat(source, path);
  }

  /** The prompt in its instructions; nothing is escaped. */
  render(content: string): string {
    return this.#template.render({ content });
  }
}
