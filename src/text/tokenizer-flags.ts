import * as t from 'io-ts';
import { CxmindError } from '../errors.ts';

const FLAGS = ['lstrip', 'rstrip', 'single_word', 'normalized'] as const;
type Flags = Partial<Readonly<Record<(typeof FLAGS)[number], unknown>>>;

const AddedTokens = t.type({ added_tokens: t.array(t.type({ id: t.number, content: t.string })) });
const TokenDecoder = t.type({ added_tokens_decoder: t.record(t.string, t.UnknownRecord) });
const Model = t.type({ model: t.UnknownRecord });

/** Flags of `tokenizer_config.json` that change tokens or their text. None of them may be set. */
const UNSET = ['split_special_tokens', 'add_prefix_space'];

/** Flag that is not followed for a BPE, as in transformers 5: it would take spaces away that the tokens have. */
const CLEAN_UP = 'clean_up_tokenization_spaces';

/**
 * Refuses settings that transformers follows and this tokenizer does not: whole-word tokens, token flags that differ
 * between `tokenizer_config.json` and `tokenizer.json`, dropout of merges, and the flags of `UNSET`.
 *
 * @throws CHECKPOINT_INVALID naming file and field of each
 */
export function checkTokenizerFlags(
  tokenizer: { readonly path: string; readonly json: object },
  config: { readonly path: string; readonly json: object },
): void {
  const added: readonly ({ id: number; content: string } & Flags)[] = AddedTokens.is(tokenizer.json)
    ? tokenizer.json.added_tokens
    : [];
  const decoder = TokenDecoder.is(config.json) ? config.json.added_tokens_decoder : {};
  const model = Model.is(tokenizer.json) ? tokenizer.json.model : {};
  const fields = new Map(Object.entries(config.json));
  const issues = [
    ...added
      .filter(({ single_word: isWhole }) => isWhole === true)
      .map(
        ({ content }) =>
          `${tokenizer.path}: added_tokens: single_word of ${content} is not supported`,
      ),
    ...added.flatMap((token) => {
      const other: Flags = decoder[token.id] ?? {};
      return FLAGS.filter((flag) => (other[flag] ?? token[flag]) !== token[flag]).map(
        (flag) =>
          `${config.path}: added_tokens_decoder.${token.id}.${flag} is ${String(other[flag])}, but ` +
          `${String(token[flag])} for ${token.content} in tokenizer.json`,
      );
    }),
    ...(Number(model['dropout'] ?? 0) > 0
      ? [`${tokenizer.path}: model.dropout is not supported, which makes tokens a matter of chance`]
      : []),
    ...(fields.get(CLEAN_UP) === true && model['type'] !== 'BPE'
      ? [`${config.path}: ${CLEAN_UP} true is not supported, only false`]
      : []),
    ...UNSET.filter((flag) => fields.get(flag) === true).map(
      (flag) => `${config.path}: ${flag} true is not supported, only false`,
    ),
  ];
  if (issues.length > 0)
    throw new CxmindError('CHECKPOINT_INVALID', issues.join('\n'), { detail: { issues } });
}
