import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { crc32, deflateSync } from 'node:zlib';
import { chatTools } from '../../../src/data/sample-options.ts';
import type { Message } from '../../../src/serving/chat-request.ts';
import { promptOf, type ConversationOptions } from '../../../src/serving/conversation.ts';
import { ChatTemplate } from '../../../src/text/chat-template.ts';
import { loadGoldenModel } from '../../support/golden-model.ts';
import { goldenPath } from '../../support/golden.ts';

/** A PNG with a whole header and no pixels: whoever decodes it fails. */
function hollowPng(width: number, height: number): string {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  const chunk = (name: string, data: Uint8Array): Buffer => {
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    const body = Buffer.concat([Buffer.from(name), data]);
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const pixels = chunk('IDAT', deflateSync(Buffer.alloc(0)));
  const file = [signature, chunk('IHDR', header), pixels, chunk('IEND', Buffer.alloc(0))];
  return `data:image/png;base64,${Buffer.concat(file).toString('base64')}`;
}

describe('a conversation', () => {
  let options: ConversationOptions;
  before(async () => {
    const { config: model } = await loadGoldenModel('micro-vl');
    const tools = chatTools({
      ...{ model, tokenizerPath: goldenPath('micro-vl'), overrideChatTemplate: null },
      ...{ minPixels: null, maxPixels: null, videoFps: 2 },
    });
    const sample = { ...tools, positionsOf: () => assert.fail('it has no prompt') };
    options = { sample, mostTokens: 100, allowedLocalMediaPath: null };
  });
  const picture = (width: number, height: number): Message => ({
    role: 'user',
    content: [{ type: 'image_url', imageUrl: { url: hollowPng(width, height), detail: null } }],
    name: null,
  });
  const never = new AbortController().signal;
  const asked = (messages: readonly Message[]) => ({
    messages: [...messages],
    chatTemplateKwargs: null,
  });

  it('is refused for the tokens of its pictures before one is decoded', async () => {
    const messages = Array.from({ length: 8 }, () => picture(2000, 2000));
    await assert.rejects(promptOf(asked(messages), options, never), {
      message: /tokens or more, the model takes 100$/,
    });
    const small = picture(56, 56);
    await assert.rejects(promptOf(asked([small]), options, never), {
      message: /truncated, broken/,
    });
  });

  it('is refused for more messages than tokens before it is rendered', async () => {
    const chatTemplate = { render: () => assert.fail('it was rendered') };
    const sample = { ...options.sample, chatTemplate } as unknown as typeof options.sample;
    const messages = Array.from({ length: 101 }, (): Message => ({
      role: 'user',
      content: '',
      name: null,
    }));
    await assert.rejects(promptOf(asked(messages), { ...options, sample }, never), {
      message: 'the conversation has 101 tokens or more, the model takes 100',
    });
  });

  it('is refused for a long text of the template before it is tokenised', async () => {
    const chatTemplate = new ChatTemplate('{{ preamble }}');
    const tokenizer = { encode: () => assert.fail('it was tokenised') };
    const sample = {
      ...options.sample,
      chatTemplate,
      tokenizer,
    } as unknown as typeof options.sample;
    const chatTemplateKwargs = { preamble: 'a'.repeat(100 * 32 + 1) };
    const messages: Message[] = [{ role: 'user', content: 'x', name: null }];
    await assert.rejects(
      promptOf({ messages, chatTemplateKwargs }, { ...options, sample }, never),
      { message: 'the conversation has 101 tokens or more, the model takes 100' },
    );
  });

  it('names no file where no folder is allowed', async () => {
    const { href } = pathToFileURL(goldenPath('micro-vl-reference/images/case_001_0.png'));
    const content = [{ type: 'image_url' as const, imageUrl: { url: href, detail: null } }];
    await assert.rejects(promptOf(asked([{ role: 'user', content, name: null }]), options, never), {
      message: /only files below --allowed-local-media-path are read$/,
    });
  });

  it('is left where its client leaves', async () => {
    const left = AbortSignal.abort(new Error('left'));
    await assert.rejects(promptOf(asked([picture(56, 56)]), options, left), { message: 'left' });
  });
});
