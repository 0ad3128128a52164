import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { goldenPath } from '../../support/golden.ts';
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
  });

  it('names what is missing or broken', () => {
    using directory = new TemporaryDirectory();
    const invalid = (message: RegExp): object => ({ code: 'CHECKPOINT_INVALID', message });
    assert.throws(() => Tokenizer.load(directory.path), invalid(/tokenizer\.json.*ENOENT/));
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
});
