import assert from 'node:assert/strict';
import type { Channel } from '../../../transport/channel.ts';
import { join, startHead, type Head } from '../../support/link-pair.ts';
import { Inbox, numbered, numberOf } from '../../support/packets.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

const creditBytes = 4_000_000;

/** Channels of a link, from the end that connected through a proxy to the listener's. */
async function channels(
  head: Head,
  proxy: TcpProxy,
  count: number,
): Promise<{ far: Channel[]; near: Channel[]; end: () => Promise<void> }> {
  const link = await join(head, { endpoint: proxy.endpoint });
  const near: Channel[] = [];
  const far = Array.from({ length: count }, () => link.open());
  const other = await head.nextLink();
  await new Promise<void>((resolve) => {
    other.onChannel((channel) => {
      if (near.push(channel) === count) resolve();
    });
  });
  const end = async (): Promise<void> => {
    await link[Symbol.asyncDispose]();
  };
  return { far, near, end };
}

/** Resolves when nothing has come through for a while. */
async function silence(proxy: TcpProxy): Promise<void> {
  for (let before = -1, quiet = 0; quiet < 5; before = proxy.sentBytes) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    quiet = proxy.sentBytes - before < 1000 ? quiet + 1 : 0;
  }
}

describe('credit of a link', () => {
  it('bounds what a channel without a receiver holds, and lets all come once it has one', async () => {
    await using head = await startHead({ creditBytes });
    await using proxy = await TcpProxy.to(head.listener.endpoint);
    const { far, near, end } = await channels(head, proxy, 2);
    const [slow, other] = far as [Channel, Channel];
    for (let i = 0; i < 30; i++) slow.send(numbered(i, 1_000_000));
    await silence(proxy);
    assert.ok(proxy.sentBytes > creditBytes);
    assert.ok(proxy.sentBytes < 1.1 * creditBytes, `${proxy.sentBytes} bytes`);
    const inbox = new Inbox(near[1]!);
    for (let i = 0; i < 10; i++) other.send(numbered(i, 1_000_000));
    assert.deepEqual((await inbox.count(10)).map(numberOf), [...Array(10).keys()]);
    const late = new Inbox(near[0]!);
    assert.deepEqual((await late.count(30)).map(numberOf), [...Array(30).keys()]);
    await end();
  });

  it('lets a packet pass that is longer than itself', async () => {
    await using head = await startHead({ creditBytes });
    await using proxy = await TcpProxy.to(head.listener.endpoint);
    const { far, near, end } = await channels(head, proxy, 1);
    far[0]!.send(numbered(0, 1_000_000));
    far[0]!.send(numbered(1, 3 * creditBytes));
    far[0]!.send(numbered(2, 3 * creditBytes));
    await silence(proxy);
    assert.ok(proxy.sentBytes < 1.2 * creditBytes, `${proxy.sentBytes} bytes`);
    const inbox = new Inbox(near[0]!);
    assert.deepEqual((await inbox.count(3)).map(numberOf), [0, 1, 2]);
    await end();
  });

  it('is not used up by channels that came and went, whoever closed them', async () => {
    await using head = await startHead({ creditBytes });
    await using proxy = await TcpProxy.to(head.listener.endpoint);
    const count = 20;
    const { far, near, end } = await channels(head, proxy, count + 1);
    for (let i = 0; i < count; i++) {
      far[i]!.send(numbered(i, creditBytes));
      if (i % 2 === 0) near[i]!.close();
      await silence(proxy);
      far[i]!.close();
    }
    for (const channel of near.slice(0, count)) new Inbox(channel);
    await Promise.all(
      [...far, ...near].filter((_, i) => i % (count + 1) < count).map((c) => c.closed),
    );
    const inbox = new Inbox(near[count]!);
    far[count]!.send(numbered(9, creditBytes));
    assert.equal(numberOf(await inbox.next()), 9);
    await end();
  });
});
