import { Reply, type Context } from 'zeromq';
import { keyBytes } from './keys.ts';

const address = 'inproc://zeromq.zap.01';
const version = '1.0';

/**
 * Admits peers to the sockets of a context that prove to hold the run's client key.
 *
 * It answers libzmq, which asks by ZAP before it accepts a connection. A refused peer is told nothing but "no".
 *
 * @see https://rfc.zeromq.org/spec/27
 */
export class Gatekeeper implements Disposable {
  readonly #socket: Reply;
  readonly #clientKey: Buffer;
  #refused = 0;

  private constructor(socket: Reply, clientPublicKey: string) {
    this.#socket = socket;
    this.#clientKey = keyBytes(clientPublicKey);
  }

  /** Opens a gatekeeper. Other sockets of the context may be bound when this resolves, not before. */
  static async open(context: Context, clientPublicKey: string): Promise<Gatekeeper> {
    const socket = new Reply({ context, linger: 0 });
    await socket.bind(address);
    const gatekeeper = new Gatekeeper(socket, clientPublicKey);
    void gatekeeper.#answer();
    return gatekeeper;
  }

  /** Number of connections that were refused. */
  get refused(): number {
    return this.#refused;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #answer(): Promise<void> {
    for await (const [spoken, request, , , , mechanism, key] of this.#socket) {
      const isKnown =
        spoken?.toString() === version &&
        mechanism?.toString() === 'CURVE' &&
        key?.equals(this.#clientKey) === true;
      if (!isKnown) this.#refused++;
      const [code, text] = isKnown ? ['200', 'OK'] : ['400', 'no'];
      try {
        await this.#socket.send([version, request ?? '', code, text, '', '']);
      } catch (error) {
        // The sockets that asked are closed with this one, and need no answer.
        if (this.#socket.closed) return;
        throw error;
      }
    }
  }
}
