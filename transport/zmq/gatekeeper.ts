import { Reply, type Context } from 'zeromq';
import { keyBytes } from './keys.ts';

const address = 'inproc://zeromq.zap.01';
const version = '1.0';

/** Gatekeeper of the sockets of a context. */
export interface Gatekeeper extends Disposable {
  /** Number of connections that were refused. */
  readonly refused: number;
}

/**
 * Admits peers to the sockets of a context that prove to hold the run's client key. Other sockets of the context may be
 * bound when this resolves, not before.
 *
 * It answers libzmq, which asks by ZAP before it accepts a connection. A refused peer is told nothing but "no".
 *
 * @see https://rfc.zeromq.org/spec/27
 */
export async function openGatekeeper(
  context: Context,
  clientPublicKey: string,
): Promise<Gatekeeper> {
  const socket = new Reply({ context, linger: 0 });
  await socket.bind(address);
  const gatekeeper = { refused: 0, [Symbol.dispose]: () => socket.close() };
  void answer(socket, keyBytes(clientPublicKey), () => gatekeeper.refused++);
  return gatekeeper;
}

async function answer(socket: Reply, clientKey: Buffer, onRefused: () => void): Promise<void> {
  for await (const [spoken, request, , , , mechanism, key] of socket) {
    const isKnown =
      spoken?.toString() === version &&
      mechanism?.toString() === 'CURVE' &&
      key?.equals(clientKey) === true;
    if (!isKnown) onRefused();
    const [code, text] = isKnown ? ['200', 'OK'] : ['400', 'no'];
    try {
      await socket.send([version, request ?? '', code, text, '', '']);
    } catch (error) {
      // The sockets that asked are closed with this one, and need no answer.
      if (socket.closed) return;
      throw error;
    }
  }
}
