import assert from 'node:assert/strict';
import { byteAlphabet, trainBpe } from '../../../src/demo/bpe.ts';
import { chatTemplate, controlIds, tokenizerFiles } from '../../../src/demo/tokenizer-files.ts';
import { ChatTemplate, type ChatMessage } from '../../../src/text/chat-template.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { goldenCases, goldenJson, goldenPath } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const golden = goldenJson('demo-bpe/cases.json') as {
  size: number;
  texts: string[];
  tokens: string[];
  merges: [string, string][];
  ids: number[][];
};

describe('trainBpe', () => {
  it('learns the tokens and merges that the reference trainer learns', () => {
    const { tokens, merges } = trainBpe(golden.texts, golden.size);
    assert.deepEqual(merges, golden.merges);
    assert.deepEqual(tokens, golden.tokens);
  });

  it('stops when no pair occurs twice', () => {
    assert.deepEqual(trainBpe(['abc'], 1000).tokens, [...byteAlphabet()].sort());
    assert.equal(trainBpe(['ab', 'ab'], 1000).tokens.length, 257);
  });

  it('has an alphabet of 256 distinct printable characters', () => {
    const alphabet = byteAlphabet();
    assert.equal(new Set(alphabet).size, 256);
    assert.equal(alphabet[0x20], 'Ġ');
    assert.equal(alphabet[0x0a], 'Ċ');
    assert.equal(alphabet[0x41], 'A');
  });
});

describe('the demo tokenizer', () => {
  let tokenizer: Tokenizer;
  before(() => {
    using directory = new TemporaryDirectory();
    const files = tokenizerFiles(trainBpe(golden.texts, golden.size));
    for (const [name, text] of Object.entries(files)) directory.write(name, text);
    tokenizer = Tokenizer.load(directory.path);
  });

  it('encodes as the reference and decodes to the same text', () => {
    for (const [i, text] of golden.texts.entries()) {
      assert.deepEqual(tokenizer.encode(text), golden.ids[i]);
      assert.equal(tokenizer.decode(golden.ids[i]!), text.normalize('NFC'));
    }
  });

  it('puts Qwen2.5’s tokens after the BPE, in its order', () => {
    assert.equal(tokenizer.idOf('<|endoftext|>'), 300);
    assert.equal(tokenizer.idOf('<|image_pad|>'), 312);
    assert.equal(tokenizer.idOf('<|file_sep|>'), 321);
    assert.deepEqual(tokenizer.eosIds, [302]);
    assert.equal(controlIds(trainBpe(golden.texts, golden.size))['<|image_pad|>'], 312);
    assert.deepEqual(tokenizer.encode('<|im_start|><|vision_start|>'), [301, 309]);
  });

  it('renders conversations as the golden checkpoint’s template does', () => {
    const own = new ChatTemplate(chatTemplate);
    const reference = ChatTemplate.load(goldenPath('micro-vl'));
    const conversations: ChatMessage[][] = [
      ...goldenCases().map(({ messages }) => messages as ChatMessage[]),
      [{ role: 'user', content: 'hi\n' }],
      [
        { role: 'system', content: 'Be brief.' },
        {
          role: 'user',
          content: [{ type: 'image' }, { type: 'image' }, { type: 'text', text: '' }],
        },
        { role: 'assistant', content: 'Yes.' },
        { role: 'user', content: [{ type: 'text', text: ' why?\n' }] },
      ],
    ];
    for (const messages of conversations) {
      for (const addGenerationPrompt of [true, false]) {
        assert.equal(
          own.render(messages, { addGenerationPrompt }),
          reference.render(messages, { addGenerationPrompt }),
        );
      }
    }
  });
});
