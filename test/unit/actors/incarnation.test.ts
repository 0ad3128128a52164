import assert from 'node:assert/strict';
import { IncarnationChannels } from '../../../actors/runtime/incarnation.ts';
import type { Channel } from '../../../transport/channel.ts';
import { sameThreadPair } from '../../../transport/same-thread.ts';

const packet = (...bytes: number[]) => ({ header: Uint8Array.from(bytes), frames: [] });

describe('IncarnationChannels', () => {
  let begun: PromiseWithResolvers<Channel>;
  let system: IncarnationChannels;
  let thread: IncarnationChannels;

  beforeEach(() => {
    const [near, far] = sameThreadPair();
    begun = Promise.withResolvers();
    system = new IncarnationChannels(near);
    thread = new IncarnationChannels(far, (channel) => begun.resolve(channel));
  });
  afterEach(() => thread.close());

  /** The two ends of an incarnation's channel, and what came to the far one, which a zero closes. */
  async function begin(): Promise<{ near: Channel; far: Channel; heard: number[] }> {
    begun = Promise.withResolvers();
    const near = system.begin();
    const far = await begun.promise;
    const heard: number[] = [];
    far.receive(({ header }) => {
      if (header[0] === 0) far.close();
      else heard.push(...header);
    });
    return { near, far, heard };
  }

  it('deliver what was sent in an incarnation before its end', async () => {
    const { near, far } = await begin();
    const heard: number[] = [];
    far.send(packet(1));
    far.send(packet(2));
    far.close();
    near.receive(({ header }) => heard.push(...header));
    await near.closed;
    assert.deepEqual(heard, [1, 2]);
    assert.equal(system.isOpen, true);
  });

  it('let no packet of an incarnation into the next', async () => {
    const first = await begin();
    first.far.close();
    first.near.send(packet(1));
    await first.near.closed;
    assert.equal(first.near.send(packet(2)), false);
    const second = await begin();
    first.far.send(packet(4));
    second.near.send(packet(3));
    second.near.send(packet(0));
    await second.near.closed;
    assert.deepEqual([first.heard, second.heard], [[], [3]]);
  });

  it('end the incarnation that is on with the channel under it', async () => {
    const { near, far } = await begin();
    thread.close();
    await Promise.all([near.closed, far.closed]);
    assert.deepEqual([system.isOpen, thread.isOpen], [false, false]);
  });
});
