import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';
import { goldenCases, goldenPath } from '../../support/golden.ts';
import { frameFile } from '../../support/golden-video.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { serveGolden, type ServedGolden } from '../../support/chat-server.ts';

/** OpenAI warns of `seed`, which promises no more than its best there. Here it decides the answer. */
type Body = Omit<OpenAI.Chat.ChatCompletionCreateParamsNonStreaming, 'seed'> & { seed?: number };

const ask: Body = {
  model: 'micro/vl',
  messages: [{ role: 'user', content: 'Which finding is it?' }],
  seed: 7,
  max_completion_tokens: 24,
};
function dataUrl(path: string): string {
  return `data:image/png;base64,${readFileSync(path).toString('base64')}`;
}

function withPicture(url: string): Body {
  const content: OpenAI.Chat.ChatCompletionContentPart[] = [
    { type: 'text', text: 'What is it?' },
    { type: 'image_url', image_url: { url } },
  ];
  return { ...ask, messages: [{ role: 'user', content }] };
}

/** A request about a video, in the form that vLLM takes. */
function withVideo(url: string, ...others: object[]): Partial<Record<string, unknown>> {
  const content = [{ type: 'video_url', video_url: { url } }, ...others];
  return { messages: [{ role: 'user', content }] };
}

describe("the chat API, by OpenAI's own client", () => {
  const picture = goldenPath('micro-vl-reference/images/case_001_0.png');
  let served: ServedGolden;
  before(async () => {
    const allowedLocalMediaPath = goldenPath('micro-vl-reference/images');
    served = await serveGolden({ apiKey: 'sesame', allowedLocalMediaPath });
  });
  after(() => served[Symbol.asyncDispose]());
  const create = (body: Partial<Body> = {}): Promise<OpenAI.Chat.ChatCompletion> =>
    served.client.chat.completions.create({ ...ask, ...body });

  it('answers, the same for the same seed', async () => {
    const reply = await create();
    const { choices, usage, object, model } = reply;
    assert.equal(object, 'chat.completion');
    assert.equal(model, ask.model);
    assert.equal(choices.length, 1);
    assert.equal(choices[0]!.message.role, 'assistant');
    assert.equal(choices[0]!.finish_reason, 'length');
    assert.equal(usage!.completion_tokens, 24);
    assert.equal(usage!.total_tokens, usage!.prompt_tokens + 24);
    assert.equal((await create()).choices[0]!.message.content, choices[0]!.message.content);
    const other = await create({ seed: 8 });
    assert.notEqual(other.choices[0]!.message.content, choices[0]!.message.content);
  });

  it('has the tokens, the texts and the log-probabilities of transformers, pictures among them', async () => {
    for (const { id, messages, images, prompt_ids: promptIds, greedy } of goldenCases()) {
      const urls = images.map((image) => dataUrl(goldenPath(`micro-vl-reference/${image}`)));
      const turns = messages.map(({ role, content }) => ({
        role,
        content: content.map(({ type, text }) =>
          type === 'image'
            ? { type: 'image_url', image_url: { url: urls.shift() } }
            : { type, text },
        ),
      })) as Body['messages'];
      // The golden ids go on behind an end token, and have placeholders, which the server never draws.
      const end = greedy.ids.findIndex((token) => [618, 620, 630, 631].includes(token));
      const length = end < 0 ? greedy.ids.length : end;
      const body = { messages: turns, temperature: 0, logprobs: true, max_tokens: length };
      const { choices, usage } = await create({ ...body, max_completion_tokens: null });
      // The golden text shows special tokens.
      const text = greedy.text.replaceAll(/<\|\w+\|>/g, '');
      const { content } = choices[0]!.message;
      if (end < 0) assert.equal(content, text, `case ${id}`);
      else assert.ok(text.startsWith(content!.replace(/\uFFFD+$/, '')), `case ${id}`);
      assert.equal(usage!.prompt_tokens, promptIds.length);
      // Without placeholders every other token is a little likelier.
      for (const [i, { logprob }] of choices[0]!.logprobs!.content!.entries()) {
        const above = logprob - greedy.logprobs[i]!;
        assert.ok(above > -1e-4 && above < 0.05, `case ${id}, token ${i}: ${above}`);
      }
    }
  });

  it('streams what it answers whole, each of n choices', async () => {
    const whole = await create({ n: 3 });
    const stream = await served.client.chat.completions.create({
      ...ask,
      n: 3,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts = ['', '', ''];
    const reasons: (string | null)[] = [];
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      usage = chunk.usage ?? usage;
      for (const { index, delta, finish_reason: reason } of chunk.choices) {
        texts[index] = `${texts[index]}${delta.content ?? ''}`;
        if (reason !== null) reasons[index] = reason;
      }
    }
    assert.deepEqual(
      texts,
      whole.choices.map(({ message }) => message.content),
    );
    assert.equal(new Set(texts).size, 3);
    assert.deepEqual(reasons, ['length', 'length', 'length']);
    assert.deepEqual(usage, whole.usage);
  });

  it('ends before a stop string, whole and streamed', async () => {
    const { content } = (await create()).choices[0]!.message;
    const stop = content!.slice(5, 8);
    const expected = content!.slice(0, content!.indexOf(stop));
    const [choice] = (await create({ stop: ['never there', stop] })).choices;
    assert.equal(choice!.message.content, expected);
    assert.equal(choice!.finish_reason, 'stop');
    let streamed = '';
    const stream = await served.client.chat.completions.create({ ...ask, stop, stream: true });
    for await (const { choices } of stream) streamed += choices[0]?.delta.content ?? '';
    assert.equal(streamed, expected);
  });

  it('gives the log-probability of every token, with its bytes', async () => {
    const [choice] = (await create({ logprobs: true })).choices;
    const { content } = choice!.logprobs!;
    assert.equal(content!.length, 24);
    assert.ok(content!.every(({ logprob }) => logprob < 0));
    // Special tokens are drawn, and not shown.
    const shown = content!.filter(({ token }) => !/^<\|.+\|>$/.test(token));
    const bytes = shown.flatMap((token) => token.bytes ?? []);
    assert.equal(Buffer.from(bytes).toString(), choice!.message.content);
  });

  it('gives the likeliest tokens with each, the drawn one first where it draws the likeliest', async () => {
    const [choice] = (await create({ logprobs: true, top_logprobs: 3, temperature: 0 })).choices;
    for (const { token, logprob, top_logprobs: top } of choice!.logprobs!.content!) {
      assert.equal(top.length, 3);
      assert.equal(top[0]!.token, token);
      assert.ok(Math.abs(top[0]!.logprob - logprob) < 1e-5);
      assert.ok(top[0]!.logprob >= top[1]!.logprob && top[1]!.logprob >= top[2]!.logprob);
    }
  });

  const controls: [string, object][] = [
    ['presence_penalty', { presence_penalty: 2 }],
    ['frequency_penalty', { frequency_penalty: 2 }],
    ['logit_bias', { logit_bias: { 20: 100 } }],
    ['min_p', { min_p: 0.5 }],
    ['top_k', { top_k: 1 }],
    ['repetition_penalty', { repetition_penalty: 2 }],
  ];
  for (const [name, body] of controls) {
    it(`heeds ${name}`, async () => {
      const long = { max_completion_tokens: 60 };
      const [free, held] = [await create(long), await create({ ...long, ...body })];
      assert.notEqual(held.choices[0]!.message.content, free.choices[0]!.message.content);
    });
  }

  it('answers in the form of a JSON schema, or of a regular expression', async () => {
    const schema = {
      type: 'object',
      properties: {
        finding: { enum: ['effusion', 'no "finding"'] },
        sides: { type: 'array', items: { enum: ['left', 'right'] }, minItems: 1, maxItems: 2 },
        size: { type: 'integer' },
      },
      required: ['finding', 'sides', 'size'],
      additionalProperties: false,
    };
    const format = { type: 'json_schema' as const, json_schema: { name: 'report', schema } };
    const many = { n: 8, max_completion_tokens: 200 };
    const { choices } = await create({ ...many, response_format: format, logprobs: true });
    for (const { message, finish_reason: reason, logprobs } of choices) {
      assert.equal(reason, 'stop');
      const report = JSON.parse(message.content!) as Record<string, unknown>;
      assert.deepEqual(Object.keys(report), ['finding', 'sides', 'size']);
      assert.ok(schema.properties.finding.enum.includes(report['finding'] as string));
      assert.ok(Number.isSafeInteger(report['size']));
      // By the model alone, which would say something else.
      assert.ok(logprobs!.content!.every(({ logprob }) => logprob < 0));
    }
    assert.equal(new Set(choices.map(({ message }) => message.content)).size, 8);
    const regex = '(grade|Grad) [I-V]{1,3}(é|中)?';
    const form = { structured_outputs: { regex } } as object;
    for (const { message } of (await create({ ...many, ...form })).choices) {
      assert.match(message.content!, new RegExp(`^${regex}$`, 'u'));
    }
  });

  it('gives the n best of more, by the mean log-probability of their tokens', async () => {
    const all = await create({ n: 5, logprobs: true });
    const mean = ({ logprobs }: OpenAI.Chat.ChatCompletion.Choice): number => {
      const { content } = logprobs!;
      return content!.reduce((sum, { logprob }) => sum + logprob, 0) / content!.length;
    };
    const ranked = all.choices.toSorted((a, b) => mean(b) - mean(a));
    const best = await create({ n: 2, ...({ best_of: 5 } as object) });
    assert.deepEqual(
      best.choices.map(({ message }) => message.content),
      ranked.slice(0, 2).map(({ message }) => message.content),
    );
    assert.equal(best.usage!.completion_tokens, all.usage!.completion_tokens);
    await assert.rejects(create({ n: 3, ...({ best_of: 2 } as object) }), { param: 'best_of' });
  });

  it('says no bad word', async () => {
    const { content } = (await create()).choices[0]!.message;
    const word = /\w{4,}/.exec(content!)![0];
    const held = await create({ ...({ bad_words: [word] } as object), max_completion_tokens: 100 });
    assert.ok(content!.includes(word));
    assert.ok(!held.choices[0]!.message.content!.includes(word));
  });

  it('ends a response whose grammar allows bad words alone, and says why', async () => {
    for (const [regex, said] of [
      ['7!', '7'],
      ['!', ''],
    ] as const) {
      const held = { structured_outputs: { regex }, bad_words: ['!'] } as object;
      const [choice] = (await create(held)).choices;
      assert.equal(choice!.message.content, said);
      assert.equal(choice!.finish_reason, 'content_filter');
    }
  });

  it('reads pictures from data URLs', async () => {
    const [seen, blind] = [await create(withPicture(dataUrl(picture))), await create()];
    assert.ok(seen.usage!.prompt_tokens > blind.usage!.prompt_tokens);
    assert.notEqual(seen.choices[0]!.message.content, blind.choices[0]!.message.content);
  });

  it('reads videos from data URLs', async function () {
    using directory = new TemporaryDirectory();
    const path = frameFile(directory, 'moving');
    // .ci/run installs ffmpeg.
    if (path === null) return this.skip();
    const url = `data:video/x-matroska;base64,${readFileSync(path).toString('base64')}`;
    const question = { type: 'text', text: 'What moves?' };
    const [seen, again] = [
      await create(withVideo(url, question)),
      await create(withVideo(url, question)),
    ];
    const blind = await create({ messages: [{ role: 'user', content: question.text }] });
    // Two pairs of frames of 252 x 168, to which the processor reduces 392 x 280, and the two marks.
    assert.equal(seen.usage!.prompt_tokens - blind.usage!.prompt_tokens, 2 * 54 + 2);
    const [content, other] = [seen, blind].map(({ choices }) => choices[0]!.message.content);
    assert.notEqual(content, other);
    assert.equal(again.choices[0]!.message.content, content);
  });

  it('reads files of the allowed folder, and no others', async () => {
    const url = pathToFileURL(picture).href;
    assert.equal((await create(withPicture(url))).choices.length, 1);
    const outside = pathToFileURL(goldenPath('micro-vl/config.json')).href;
    for (const bad of [outside, `${url}/../../micro-vl/config.json`, 'file://host/x', 'http://x']) {
      await assert.rejects(create(withPicture(bad)), { status: 400 }, bad);
    }
  });

  it('takes a system message and earlier turns', async () => {
    const messages: OpenAI.Chat.ChatCompletionMessageParam[] = [
      { role: 'developer', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'First?' }] },
      { role: 'assistant', content: 'One.' },
      { role: 'user', content: 'Second?' },
    ];
    const reply = await create({ messages });
    assert.ok(reply.usage!.prompt_tokens > (await create()).usage!.prompt_tokens);
  });

  it('gives the template what a request says, in place of what the server says', async () => {
    const content: OpenAI.Chat.ChatCompletionContentPart[] = [
      { type: 'image_url', image_url: { url: dataUrl(picture) } },
      { type: 'text', text: 'What is it?' },
    ];
    const written = { type: 'text' as const, text: 'Picture 1: ' };
    const shown = [{ role: 'user' as const, content }];
    const numbered = [{ role: 'user' as const, content: [written, ...content] }];
    await using numbering = await serveGolden({}, { add_vision_id: true });
    const said = async (
      { client }: ServedGolden,
      messages: Body['messages'],
      kwargs?: object,
    ): Promise<[string | null, number]> => {
      const extra = kwargs && { chat_template_kwargs: kwargs };
      const { choices, usage } = await client.chat.completions.create({
        ...ask,
        ...extra,
        messages,
      });
      return [choices[0]!.message.content, usage!.prompt_tokens];
    };
    const [plain, marked] = [await said(served, shown), await said(served, numbered)];
    assert.notDeepEqual(plain, marked);
    assert.deepEqual(await said(served, shown, { add_vision_id: true }), marked);
    assert.deepEqual(await said(served, shown), plain);
    assert.deepEqual(await said(numbering, shown), marked);
    assert.deepEqual(await said(numbering, shown, { add_vision_id: false }), plain);
  });

  it('lists its model', async () => {
    const { data } = await served.client.models.list();
    assert.deepEqual(
      data.map(({ id }) => id),
      [ask.model],
    );
    assert.equal((await served.client.models.retrieve(ask.model)).id, ask.model);
  });

  const wrong: [string, Partial<Record<string, unknown>>, object][] = [
    ['another model', { model: 'gpt' }, { status: 404, code: 'model_not_found', param: 'model' }],
    ['a field of the wrong type', { temperature: 'hot' }, { status: 400, param: 'temperature' }],
    ['a field it does not know', { tools: [] }, { status: 400, param: 'tools' }],
    ['a number out of bounds', { top_p: 0 }, { status: 400, param: 'top_p' }],
    [
      'a schema it cannot follow',
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { not: {} } } } },
      { status: 400, param: 'response_format' },
    ],
    [
      'a video that is none',
      withVideo('data:video/mp4;base64,AAAA'),
      { status: 400, param: 'messages[0].content[0]' },
    ],
    [
      'a playlist in place of a video',
      withVideo(
        `data:video/mp4;base64,${Buffer.from('ffconcat version 1.0\nfile x').toString('base64')}`,
      ),
      { status: 400, param: 'messages[0].content[0]' },
    ],
    [
      'a picture in place of a video',
      withVideo('data:image/png;base64,AAAA'),
      { status: 400, param: 'messages[0].content[0].video_url.url' },
    ],
    [
      'pictures and videos together',
      withVideo('data:video/mp4;base64,AAAA', { type: 'image_url', image_url: { url: 'x' } }),
      { status: 400, param: 'messages[0].content[1]' },
    ],
    [
      'a variable of the template that is the conversation',
      { chat_template_kwargs: { messages: [], enable_thinking: false } },
      { status: 400, param: 'chat_template_kwargs.messages' },
    ],
    [
      'variables of the template without bound',
      { chat_template_kwargs: { a: 'x'.repeat(20_000) } },
      { status: 400, param: 'chat_template_kwargs' },
    ],
    [
      'variables of the template that the language has',
      { chat_template_kwargs: { range: 1 } },
      { status: 400, param: 'messages' },
    ],
    ['no message', { messages: [] }, { status: 400, param: 'messages' }],
    [
      'a conversation that is too long',
      { messages: [{ role: 'user', content: 'word '.repeat(600) }] },
      { status: 400, code: 'context_length_exceeded' },
    ],
    [
      'a response that is too long',
      { max_completion_tokens: 510 },
      { status: 400, code: 'context_length_exceeded' },
    ],
    [
      'a placeholder that is spelt out',
      { messages: [{ role: 'user', content: '<|image_pad|>' }] },
      { status: 400, param: 'messages' },
    ],
    [
      'a broken picture',
      withPicture('data:image/png;base64,AAAA'),
      { status: 400, param: 'messages[0].content[1]' },
    ],
  ];
  for (const [what, body, expected] of wrong) {
    it(`refuses ${what} in OpenAI's form`, async () => {
      await assert.rejects(create(body), expected);
    });
  }

  it('asks for its key, and shows its health without', async () => {
    const { baseURL } = served.client;
    const stranger = new OpenAI({ baseURL, apiKey: 'seasame', maxRetries: 0 });
    await assert.rejects(stranger.chat.completions.create(ask), {
      status: 401,
      code: 'invalid_api_key',
    });
    assert.equal((await fetch(`${served.address}/health`)).status, 200);
  });
});
