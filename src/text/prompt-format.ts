import { asCxmindError, CxmindError } from '../errors.ts';
import { readWholeSync } from '../files.ts';
import { JinjaTemplate } from './jinja.ts';

/** Format of prompts: a Jinja template with one variable, `content`, that wraps a prompt in instructions. */
export class PromptFormat {
  readonly #template: JinjaTemplate;

  /**
   * @param source template; white space around it is removed
   * @throws CONFIG_INVALID if it does not parse
   */
  constructor(source: string, origin = 'format prompt') {
    const options = { origin, code: 'CONFIG_INVALID', trimBlocks: false } as const;
    this.#template = new JinjaTemplate(source.trim(), options);
  }

  /** Loads a format from a file. @throws CONFIG_INVALID if the file is missing or does not parse */
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
   * Renders a prompt. Nothing is escaped.
   *
   * @throws CONFIG_INVALID if the template raises an error or does not end
   */
  render(content: string): string {
    return this.#template.render({ content });
  }
}
