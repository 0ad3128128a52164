import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { replyHead } from '../../../src/serving/replies.ts';
import { StreamedReply } from '../../../src/serving/streamed-reply.ts';

interface Chunk {
  readonly choices: readonly { readonly delta: { readonly content?: string } }[];
}

describe('a streamed reply', () => {
  /** A response of a server and the client's end of it, which reads nothing yet. */
  async function connected(): Promise<
    AsyncDisposable & { sent: ServerResponse; got: () => Promise<IncomingMessage> }
  > {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const request = get({ port: (server.address() as AddressInfo).port, agent: false });
    const got = once(request, 'response') as Promise<[IncomingMessage]>;
    const [, sent] = (await once(server, 'request')) as [unknown, ServerResponse];
    return {
      sent,
      got: async () => (await got)[0],
      [Symbol.asyncDispose]: async () => {
        server.close().closeAllConnections();
        await once(server, 'close');
      },
    };
  }

  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };

  function eventsOf(body: string): string[] {
    return body
      .split('\n\n')
      .flatMap((event) => (event === '' ? [] : [event.replace('data: ', '')]));
  }

  it('joins what comes faster than it is read, and loses none of it', async () => {
    await using connection = await connected();
    const { sent, got } = connection;
    const reply = new StreamedReply(replyHead('m'), true, null, sent);
    // More than sockets hold, in events of which each would be far longer than its text.
    const part = 'a "word"\n'.repeat(1000);
    const turns = 600;
    for (let turn = 0; turn < turns; turn++) {
      reply.onText(0, part, [], null);
      if (turn % 20 === 0) await new Promise(setImmediate);
    }
    reply.onText(0, '', [], 'stop');
    reply.end(usage);
    const events = eventsOf(await text(await got()));
    assert.equal(events.pop(), '[DONE]');
    const chunks = events.map((event) => JSON.parse(event) as Chunk);
    const texts = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? ''));
    assert.equal(texts.join(''), part.repeat(turns));
    assert.ok(events.length < turns / 10, `${events.length} events`);
  });

  it('tells the end of each choice once, behind its text', async () => {
    await using connection = await connected();
    const { sent, got } = connection;
    const reply = new StreamedReply(replyHead('m'), true, null, sent);
    for (const choice of [1, 0]) {
      reply.onText(choice, `text ${choice}`, [], 'length');
    }
    reply.end(usage);
    const [head, ...rest] = eventsOf(await text(await got())).map(
      (event) =>
        (event === '[DONE]' ? null : JSON.parse(event)) as (Chunk & { usage: unknown }) | null,
    );
    assert.deepEqual(head!.choices, [
      {
        index: 1,
        delta: { role: 'assistant', content: 'text 1' },
        logprobs: null,
        finish_reason: null,
      },
    ]);
    assert.deepEqual(
      rest.map((chunk) => chunk && [chunk.choices.length, chunk.usage]),
      [[1, null], [1, null], [1, null], [0, usage], null],
    );
  });
});
