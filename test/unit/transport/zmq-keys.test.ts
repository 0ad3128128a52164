import assert from 'node:assert/strict';
import { connectLink } from '../../../transport/zmq/connect.ts';
import { keyBytes, makeRunKeys, ticketFor, type JoinKeys } from '../../../transport/zmq/keys.ts';
import { LinkListener } from '../../../transport/zmq/listener.ts';
import { echo } from '../../conformance/channel.ts';
import { join, startHead, type Head } from '../../support/link-pair.ts';
import { Inbox, numbered, numberOf } from '../../support/packets.ts';

const tryToJoin = ({ listener }: Head, keys: JoinKeys): Promise<unknown> =>
  connectLink({ endpoint: listener.endpoint, keys, name: 'stranger', timeoutMs: 500 });

describe('the keys of a run', () => {
  it('are new each time', () => {
    const [a, b] = [makeRunKeys(), makeRunKeys()];
    const keys = [a.server, a.client, b.server, b.client].flatMap((pair) => [
      pair.publicKey,
      pair.secretKey,
    ]);
    assert.equal(new Set(keys).size, 8);
  });

  it('keep strangers out, who learn nothing and disturb nobody', async () => {
    await using head = await startHead();
    await using far = await join(head);
    (await head.nextLink()).onChannel(echo);
    const channel = far.open();
    const inbox = new Inbox(channel);
    const ticket = ticketFor('', head.keys);
    const stranger = makeRunKeys();
    const { publicKey, secretKey } = stranger.client;
    // without any key of the run, with its server's, with its client's public key, with another's server key
    const attempts: JoinKeys[] = [
      ticketFor('', stranger),
      { ...ticket, clientPublicKey: publicKey, clientSecretKey: secretKey },
      { ...ticket, clientSecretKey: secretKey },
      { ...ticket, serverPublicKey: stranger.server.publicKey },
    ];
    for (const [i, keys] of attempts.entries()) {
      const attempt = tryToJoin(head, keys);
      channel.send(numbered(i));
      assert.equal(numberOf(await inbox.next()), i);
      await assert.rejects(attempt, { code: 'PEER_LOST' });
    }
    assert.ok(head.listener.refused > 0);
    assert.equal(head.listener.dropped, 0);
  });

  it('are 32 bytes, of which the test vector of Z85 says which', () => {
    assert.equal(keyBytes('HelloWorld').toString('hex'), '864fd26fb559f75b');
    assert.equal(keyBytes(makeRunKeys().client.publicKey).length, 32);
  });
});

describe('LinkListener', () => {
  it('refuses addresses and heartbeats that are none', async () => {
    const keys = makeRunKeys();
    const invalid = { code: 'CONFIG_INVALID' };
    for (const address of ['127.0.0.1:*', 'tcp://127.0.0.1', 'tcp://127.0.0.1:5', 'ipc:///tmp/x']) {
      await assert.rejects(LinkListener.bind({ address, keys }), invalid);
    }
    await assert.rejects(LinkListener.bind({ address: 'tcp://192.0.2.1:*', keys }), invalid);
    const heartbeat = { intervalMs: 100, deadAfterMs: 150 };
    const address = 'tcp://127.0.0.1:*';
    await assert.rejects(LinkListener.bind({ address, keys, heartbeat }), invalid);
    await using head = await startHead();
    await assert.rejects(LinkListener.bind({ address: head.listener.endpoint, keys }), invalid);
  });

  it('is deaf to a peer that connects when nobody listens any more', async () => {
    const head = await startHead();
    await head[Symbol.asyncDispose]();
    await assert.rejects(tryToJoin(head, ticketFor('', head.keys)), { code: 'PEER_LOST' });
  });
});
