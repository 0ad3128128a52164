import { asCxmindError, CxmindError } from '../errors.ts';
import { readWholeSync } from '../files.ts';
import { JinjaTemplate } from './jinja.ts';

/** Wraps a prompt in fixed instructions: a Jinja template with the one variable `content`. */
export class PromptFormat {
  readonly #template: JinjaTemplate;

  /**
   * @param source the template; white space around it is removed
   * @throws CONFIG_INVALID when it does not parse
   */
  constructor(source: string, origin = 'format prompt') {
    const options = { origin, code: 'CONFIG_INVALID', trimBlocks: false } as const;
    this.#template = new JinjaTemplate(source.trim(), options);
  }

  /** @throws CONFIG_INVALID when the file is missing or does not parse */
  static load(path: string): PromptFormat {
    let source: string;
    try {
      source = readWholeSync(path).toString();
    } catch (cause) {
      const { message } = asCxmindError(cause);
      throw new CxmindError('CONFIG_INVALID', `format prompt ${path}: ${message}`, { cause });
    }
    return new PromptFormat(source, path);
  }

  /**
   * The prompt in its instructions; nothing is escaped.
   *
   * @throws CONFIG_INVALID when the template raises an error or does not end
   */
  render(content: string): string {
    return this.#template.render({ content });
  }
}
