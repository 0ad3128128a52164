import assert from 'node:assert/strict';
import * as t from 'io-ts';
import type { Actor, Context } from '../../../actors/runtime/actor.ts';
import { askAny } from '../../../actors/runtime/pool.ts';
import { call, callOf, decodeAs, protocol } from '../../../actors/runtime/protocol.ts';
import { refOver, type ActorRef, type Courier } from '../../../actors/runtime/ref.ts';
import { encodeBody } from '../../../transport/codec.ts';

const greeter = protocol('greeter', {
  greet: call(t.type({ name: t.string }), t.string),
  rest: call(t.void, t.void),
});

class Greeter implements Actor<typeof greeter> {
  greet({ name }: { name: string }): string {
    return `hello ${name}`;
  }
  async rest(): Promise<void> {
    await Promise.resolve();
  }
}

// @ts-expect-error a call is missing
class Missing implements Actor<typeof greeter> {
  greet({ name }: { name: string }): string {
    return name;
  }
}

class WrongMessage implements Actor<typeof greeter> {
  // @ts-expect-error the message has no such type
  greet(message: { name: number }): string {
    return String(message.name);
  }
  rest(): void {
    return;
  }
}

class WrongReply implements Actor<typeof greeter> {
  // @ts-expect-error the reply is a string
  greet(): number {
    return 1;
  }
  rest(): void {
    return;
  }
}

class WantsMoreContext implements Actor<typeof greeter> {
  // @ts-expect-error the context holds no token
  greet(_message: { name: string }, _context: Context & { token: string }): string {
    return '';
  }
  rest(): void {
    return;
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
}

describe('protocol', () => {
  it('is checked by the compiler', () => {
    // what matters are the @ts-expect-error lines above, which fail `npm run check` once an error is gone
    assert.equal([Missing, WrongMessage, WrongReply, WantsMoreContext, uses].length, 5);
  });

  it('leaves actors plain classes whose methods are called as they are', () => {
    assert.equal(new Greeter().greet({ name: 'Ada' }), 'hello Ada');
  });

  it('finds its calls, and only its own', () => {
    assert.equal(callOf(greeter, 'greet'), greeter.calls.greet);
    for (const method of ['toString', 'constructor', '__proto__', 'shout']) {
      assert.throws(() => callOf(greeter, method), { code: 'WIRE_INVALID' });
    }
  });

  it('names the path of a field that is not as the codec says', () => {
    const nested = t.type({ groups: t.array(t.type({ id: t.string })) });
    assert.throws(
      () => decodeAs(nested, { groups: [{ id: 'a' }, { id: 7 }] }, 'rollout/0.generate'),
      {
        code: 'WIRE_INVALID',
        message: 'rollout/0.generate: groups.1.id: expected string, got 7',
      },
    );
  });

  it('checks the reply of a ref by its codec', async () => {
    const courier: Courier = {
      address: 'greeter/0',
      pending: 0,
      status: 'running',
      ask: () => Promise.resolve(encodeBody(42)),
      tell: () => Promise.resolve(),
    };
    const ref = refOver(greeter, 'greeter/0', courier);
    await assert.rejects(ref.ask.greet({ name: 'x' }, { timeoutMs: 1 }), {
      code: 'WIRE_INVALID',
      message: 'greeter/0.greet reply: message: expected string, got 42',
    });
  });
});
