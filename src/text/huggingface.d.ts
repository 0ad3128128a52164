// The declarations these packages ship import each other without file endings, which `nodenext` does not
// resolve; what is used of them is declared here.

declare module '@huggingface/tokenizers' {
  export class Tokenizer {
    constructor(tokenizer: object, config: object);
    encode(text: string, options: { add_special_tokens: boolean }): { readonly ids: number[] };
    decode(
      ids: readonly number[],
      options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
    ): string;
    token_to_id(token: string): number | undefined;
    get_vocab(withAddedTokens: boolean): ReadonlyMap<string, number>;
  }
}

declare module '@huggingface/jinja' {
  export interface Program {
    readonly type: 'Program';
  }
  export class Template {
    constructor(source: string);
    parsed: Program;
    render(variables: Readonly<Record<string, unknown>>): string;
  }
  export function tokenize(
    source: string,
    options?: { readonly lstrip_blocks?: boolean; readonly trim_blocks?: boolean },
  ): readonly object[];
  export function parse(tokens: readonly object[]): Program;
}
