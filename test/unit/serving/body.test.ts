import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { BodyReader } from '../../../src/serving/body.ts';

describe('the bodies of requests', () => {
  const request = (text: string): IncomingMessage =>
    Object.assign(Readable.from([Buffer.from(text)]), {
      headers: { 'content-type': 'application/json' },
    }) as unknown as IncomingMessage;

  it('count until their requests are answered', async () => {
    const bodies = new BodyReader({ mostBytes: 6, mostBytesTogether: 10 });
    const [begun, answered] = [Promise.withResolvers<string>(), Promise.withResolvers<number>()];
    const first = bodies.with(request('"four"'), (text) => {
      begun.resolve(text);
      return answered.promise;
    });
    assert.equal(await begun.promise, '"four"');
    const second = (): Promise<string> =>
      bodies.with(request('"five"'), (text) => Promise.resolve(text));
    await assert.rejects(second(), { message: /other requests fill the memory/ });
    answered.resolve(1);
    assert.equal(await first, 1);
    assert.equal(await second(), '"five"');
  });
});
