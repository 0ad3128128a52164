import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { goldenJson, goldenPath } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const checkpoint = goldenPath('micro-vl');

describe('Tokenizer', () => {
  const tokenizer = Tokenizer.load(checkpoint);

  it('takes end and padding tokens from the configs', () => {
    assert.deepEqual(tokenizer.eosIds, [620, 618]);
    assert.equal(tokenizer.endOfTurnId, 620);
    assert.equal(tokenizer.padId, 618);
    assert.equal(tokenizer.size, 640);
  });

  it('recognises special tokens in a text and can leave them out again', () => {
    const ids = tokenizer.encode('<|im_start|>a<|image_pad|>');
    assert.deepEqual([ids[0], ids.at(-1)], [619, 630]);
    assert.equal(tokenizer.decode(ids), '<|im_start|>a<|image_pad|>');
    assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), 'a');
    assert.equal(tokenizer.idOf('<|image_pad|>'), 630);
    assert.equal(tokenizer.idOf('<|no_such_token|>'), undefined);
  });

  it('gives back any text in composed form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        assert.equal(tokenizer.decode(tokenizer.encode(text)), text.normalize('NFC'));
      }),
    );
    assert.equal(tokenizer.decode([]), '');
  });

  it('finds the end token in tokenizer_config.json when there is no generation config', () => {
    using directory = new TemporaryDirectory();
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
      copyFileSync(join(checkpoint, file), join(directory.path, file));
    }
    assert.deepEqual(Tokenizer.load(directory.path).eosIds, [620]);
    directory.write('tokenizer_config.json', '{}');
    directory.write('special_tokens_map.json', '{"eos_token": "<|im_end|>"}');
    assert.deepEqual(Tokenizer.load(directory.path).eosIds, [620]);
  });

  it('names what is missing or broken', () => {
    using directory = new TemporaryDirectory();
    const invalid = (message: RegExp): object => ({ code: 'CHECKPOINT_INVALID', message });
    assert.throws(() => Tokenizer.load(directory.path), invalid(/tokenizer\.json: no such file/));
    directory.write('tokenizer.json', '{"model": 1}');
    assert.throws(
      () => Tokenizer.load(directory.path),
      invalid(/tokenizer\.json: not a tokenizer/),
    );
    copyFileSync(join(checkpoint, 'tokenizer.json'), join(directory.path, 'tokenizer.json'));
    assert.throws(() => Tokenizer.load(directory.path), invalid(/names an end token/));
    directory.write('generation_config.json', '{"eos_token_id": "x"}');
    assert.throws(() => Tokenizer.load(directory.path), invalid(/eos_token_id: expected/));
  });

  describe('refuses what it would not do as transformers does:', () => {
    const files = ['tokenizer.json', 'tokenizer_config.json'] as const;
    type Json = Record<string, unknown>;
    type Change = (tokenizer: Json, config: Json) => void;

    /** Message of loading the golden tokenizer after a change. */
    function refusal(change: Change): string {
      using directory = new TemporaryDirectory();
      const [tokenizerJson, config] = files.map(
        (file) => JSON.parse(readFileSync(join(checkpoint, file), 'utf8')) as Json,
      ) as [Json, Json];
      change(tokenizerJson, config);
      directory.write('tokenizer.json', JSON.stringify(tokenizerJson));
      directory.write('tokenizer_config.json', JSON.stringify(config));
      try {
        Tokenizer.load(directory.path);
      } catch (error) {
        assert.equal((error as { code?: unknown }).code, 'CHECKPOINT_INVALID');
        return (error as Error).message.replaceAll(`${directory.path}/`, '');
      }
      return 'nothing';
    }

    const token = (json: Json): Json => (json['added_tokens'] as Json[])[1]!;
    const cases: readonly [string, Change, string][] = [
      [
        'whole words',
        (json) => (token(json)['single_word'] = true),
        'tokenizer.json: added_tokens: single_word of <|im_start|> is not supported\n' +
          'tokenizer_config.json: added_tokens_decoder.619.single_word is false, but true for <|im_start|> in tokenizer.json',
      ],
      [
        'flags in which the files differ',
        (json) => (token(json)['lstrip'] = true),
        'tokenizer_config.json: added_tokens_decoder.619.lstrip is false, but true for <|im_start|> in tokenizer.json',
      ],
      [
        'dropout of merges',
        (json) => ((json['model'] as Json)['dropout'] = 0.1),
        'tokenizer.json: model.dropout is not supported, which makes tokens a matter of chance',
      ],
      [
        'clean-up of spaces but of a BPE, where it changes nothing',
        (json, config) => {
          (json['model'] as Json)['type'] = 'WordPiece';
          config['clean_up_tokenization_spaces'] = true;
        },
        'tokenizer_config.json: clean_up_tokenization_spaces true is not supported, only false',
      ],
      ...['split_special_tokens', 'add_prefix_space'].map((flag): [string, Change, string] => [
        flag,
        (_, config) => (config[flag] = true),
        `tokenizer_config.json: ${flag} true is not supported, only false`,
      ]),
    ];
    for (const [what, change, message] of cases) {
      it(what, () => assert.equal(refusal(change), message));
    }
  });

  it("reads a tokenizer like Llama 3's as the reference does", () => {
    const llama = Tokenizer.load(goldenPath('llama3-tokenizer'));
    const golden = goldenJson('llama3-tokenizer/cases.json') as readonly {
      readonly text: string;
      readonly ids: readonly number[];
      readonly decoded: string;
    }[];
    for (const { text, ids, decoded } of golden) {
      assert.deepEqual(llama.encode(text), ids);
      assert.equal(llama.decode(ids), decoded);
    }
    assert.equal(llama.endOfTurnId, llama.idOf('<|eot_id|>'));
  });

  it('strips white space beside a token as the reference does', () => {
    using directory = new TemporaryDirectory();
    const json = JSON.parse(readFileSync(join(checkpoint, 'tokenizer.json'), 'utf8')) as {
      added_tokens: Record<string, unknown>[];
    };
    const token = json.added_tokens.find(({ content }) => content === '<|box_start|>')!;
    Object.assign(token, { lstrip: true, rstrip: true, normalized: true });
    directory.write('tokenizer.json', JSON.stringify(json));
    directory.write('tokenizer_config.json', '{"eos_token": "<|im_end|>"}');
    const stripping = Tokenizer.load(directory.path);
    // What tokenizers 0.22.2 makes of them.
    assert.deepEqual(stripping.encode('a <|box_start|> b'), [64, 623, 65]);
    assert.deepEqual(stripping.encode('  <|box_start|>  x'), [623, 87]);
  });
});
