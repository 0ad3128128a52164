import assert from 'node:assert/strict';
import * as t from 'io-ts';
import type { Actor, Context } from '../../../actors/runtime/actor.ts';
import { askAny, gather } from '../../../actors/runtime/pool.ts';
import {
  call,
  callOf,
  decodeAs,
  protocol,
  stream,
  streamOf,
} from '../../../actors/runtime/protocol.ts';
import { refOver, type ActorRef, type Sender } from '../../../actors/runtime/ref.ts';
import { encodeBody } from '../../../transport/codec.ts';
import type { Body } from '../../../transport/frame.ts';

const greeter = protocol('greeter', {
  greet: call(t.type({ name: t.string }), t.string),
  rest: call(t.void, t.void),
});

const speaker = protocol('speaker', {
  mute: call(t.void, t.void),
  words: stream(t.type({ text: t.string }), t.string),
});

/** The calls of each protocol that are right in all of these. */
class Resting {
  rest(): void {
    return;
  }
}
class Mute {
  mute(): void {
    return;
  }
}

class Greeter implements Actor<typeof greeter> {
  greet({ name }: { name: string }): string {
    return `hello ${name}`;
  }
  async rest(): Promise<void> {
    await Promise.resolve();
  }
}

class Speaker extends Mute implements Actor<typeof speaker> {
  async *words({ text }: { text: string }): AsyncGenerator<string> {
    await Promise.resolve();
    yield* text.split(' ');
  }
}

class WrongItem extends Mute implements Actor<typeof speaker> {
  // @ts-expect-error the items are strings
  async *words({ text }: { text: string }): AsyncGenerator<number> {
    await Promise.resolve();
    yield text.length;
  }
}

class NoStream extends Mute implements Actor<typeof speaker> {
  // @ts-expect-error a stream is answered item by item
  words(): Promise<string> {
    return Promise.resolve('word');
  }
}

// @ts-expect-error a stream is missing
class MissingStream extends Mute implements Actor<typeof speaker> {}

async function listens(ref: ActorRef<typeof speaker>): Promise<void> {
  const options = { timeoutMs: 1 };
  for await (const word of ref.stream.words({ text: 'x' }, options)) word satisfies string;
  // @ts-expect-error the items are strings
  for await (const word of ref.stream.words({ text: 'x' }, options)) word satisfies number;
  // @ts-expect-error the message is mistyped
  ref.stream.words({ text: 1 }, options);
  // @ts-expect-error a stream needs a deadline
  ref.stream.words({ text: 'x' });
  // @ts-expect-error a stream cannot be asked
  const asked: keyof typeof ref.ask = 'words';
  // @ts-expect-error nor can it be told
  const told: keyof typeof ref.tell = 'words';
  // @ts-expect-error and a call does not stream
  const streamed: keyof typeof ref.stream = 'mute';
  // @ts-expect-error nor can a pool be asked for one
  await askAny([ref], 'words', { text: 'x' }, { timeoutMs: 1, retries: 0 });
  await ref.ask.mute(undefined, options).then(() => [asked, told, streamed]);
}

async function* answers(...values: readonly unknown[]): AsyncGenerator<Body> {
  await Promise.resolve();
  for (const value of values) yield encodeBody(value);
}

// @ts-expect-error a call is missing
class Missing implements Actor<typeof greeter> {
  greet({ name }: { name: string }): string {
    return name;
  }
}

class WrongMessage extends Resting implements Actor<typeof greeter> {
  // @ts-expect-error the message has no such type
  greet(message: { name: number }): string {
    return String(message.name);
  }
}

class WrongReply extends Resting implements Actor<typeof greeter> {
  // @ts-expect-error the reply is a string
  greet(): number {
    return 1;
  }
}

class WantsMoreContext extends Resting implements Actor<typeof greeter> {
  // @ts-expect-error the context holds no token
  greet(_message: { name: string }, _context: Context & { token: string }): string {
    return '';
  }
}

async function uses(ref: ActorRef<typeof greeter>): Promise<void> {
  const options = { timeoutMs: 1 };
  const greeting: string = await ref.ask.greet({ name: 'x' }, options);
  await ref.ask.rest(undefined, options);
  await ref.tell.rest();
  // @ts-expect-error an ask needs a deadline
  await ref.ask.greet({ name: greeting });
  // @ts-expect-error the message is mistyped
  await ref.ask.greet({ name: 1 }, options);
  // @ts-expect-error there is no such call
  const noSuchMethod: keyof typeof ref.ask = 'shout';
  await ref.ask[noSuchMethod](undefined as never, options);
  // @ts-expect-error the reply is a string
  await ref.ask.greet({ name: 'x' }, options).then((reply: number) => reply);
  // @ts-expect-error a tell is typed too
  await ref.tell.greet({});
  // @ts-expect-error so is a pool's method
  await askAny([ref], 'shout', { name: 'x' }, { timeoutMs: 1, retries: 0 });
  // @ts-expect-error and its message
  await askAny([ref], 'greet', { nam: 'x' }, { timeoutMs: 1, retries: 0 });
  (await gather([ref], 'greet', () => ({ name: 'x' }), options)) satisfies string[];
  // @ts-expect-error a gathering's message is typed
  await gather([ref], 'greet', { nam: 'x' }, options);
}

describe('protocol', () => {
  it('is checked by the compiler', () => {
    // what matters are the @ts-expect-error lines above, which fail `npm run check` once an error is gone
    const classes = [Missing, WrongMessage, WrongReply, WantsMoreContext, WrongItem, NoStream];
    assert.equal([...classes, MissingStream, uses, listens].length, 9);
  });

  it('leaves actors plain classes whose methods are called as they are', () => {
    assert.equal(new Greeter().greet({ name: 'Ada' }), 'hello Ada');
  });

  it('leaves streams plain async generators', async () => {
    assert.deepEqual(await Array.fromAsync(new Speaker().words({ text: 'a b' })), ['a', 'b']);
  });

  it('finds its calls, and only its own', () => {
    assert.equal(callOf(greeter, 'greet'), greeter.calls.greet);
    for (const method of ['toString', 'constructor', '__proto__', 'shout']) {
      assert.throws(() => callOf(greeter, method), { code: 'WIRE_INVALID' });
      assert.throws(() => streamOf(greeter, method), { code: 'WIRE_INVALID' });
    }
    assert.equal(streamOf(speaker, 'words'), speaker.calls.words);
    assert.throws(() => callOf(speaker, 'words'), { code: 'WIRE_INVALID' });
    assert.throws(() => streamOf(speaker, 'mute'), { code: 'WIRE_INVALID' });
  });

  it('names the path of a field that is not as the codec says', () => {
    const nested = t.type({ groups: t.array(t.type({ id: t.string })) });
    assert.throws(
      () => decodeAs(nested, { groups: [{ id: 'a' }, { id: 7 }] }, 'rollout/0.generate'),
      {
        code: 'WIRE_INVALID',
        message: 'rollout/0.generate: groups[1].id: expected string, got 7',
      },
    );
  });

  const sender: Sender = {
    address: 'greeter/0',
    pending: 0,
    status: 'running',
    ask: () => Promise.resolve(encodeBody(42)),
    tell: () => Promise.resolve(),
    stream: () => answers('a', 42),
  };

  it('checks the reply of a ref by its codec', async () => {
    const ref = refOver(greeter, 'greeter/0', sender);
    await assert.rejects(ref.ask.greet({ name: 'x' }, { timeoutMs: 1 }), {
      code: 'WIRE_INVALID',
      message: 'greeter/0.greet reply: expected string, got 42',
    });
  });

  it('checks each item of a stream by its codec', async () => {
    const words = refOver(speaker, 'speaker/0', sender).stream.words(
      { text: '' },
      { timeoutMs: 1 },
    );
    const read: string[] = [];
    const reading = (async () => {
      for await (const word of words) read.push(word);
    })();
    await assert.rejects(reading, {
      code: 'WIRE_INVALID',
      message: 'speaker/0.words item: expected string, got 42',
    });
    assert.deepEqual(read, ['a']);
  });
});
