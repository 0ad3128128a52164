import { text } from 'node:stream/consumers';
import { Dealer } from 'zeromq';
import { connectLink } from '../../../transport/zmq/connect.ts';
import type { JoinKeys } from '../../../transport/zmq/keys.ts';
import { LinkPort, order, orders, RawPort, type Port } from './port.ts';

/** Endpoints to connect to, with their keys. */
export interface Orders {
  readonly links: readonly { endpoint: string; keys: JoinKeys }[];
  readonly sockets: readonly { address: string; keys: JoinKeys }[];
}

/** Tensors on the way at once, over a bare socket that has no credit of its own. */
const tensorsAhead = 2;

/** Echoes, floods and sends tensors, as it is told by each port. */
class Server {
  readonly #port: Port;
  readonly #tensors = new Map<number, Uint8Array>();
  #wake: (() => void) | undefined;
  #received = 0;

  constructor(port: Port) {
    this.#port = port;
    port.onMessage = (header) => void this.#obey(header);
  }

  async #obey(header: Uint8Array): Promise<void> {
    const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
    const [count, bytes] = [view.getUint32(4, true), view.getUint32(8, true)];
    const what = header[0];
    if (what === orders.echo) {
      await this.#port.send(header);
    } else if (what === orders.flood) {
      await this.#flood(count, order('flood', bytes));
    } else if (what === orders.tensors) {
      await this.#sendTensors(count, bytes);
    } else if (what === orders.received) {
      this.#received++;
      this.#wake?.();
    }
  }

  async #flood(count: number, header: Uint8Array): Promise<void> {
    for (let i = 0; i < count; i++) {
      const sending = this.#port.send(header);
      if (sending !== undefined) await sending;
      else if (i % 1000 === 999) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #sendTensors(count: number, bytes: number): Promise<void> {
    let tensor = this.#tensors.get(bytes);
    if (tensor === undefined) {
      tensor = new Uint8Array(new SharedArrayBuffer(bytes)).fill(1);
      this.#tensors.set(bytes, tensor);
    }
    this.#received = 0;
    for (let i = 0; i < count; i++) {
      while (i - this.#received >= tensorsAhead) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      await this.#port.send(order('tensors'), tensor);
    }
  }
}

const { links, sockets } = JSON.parse(await text(process.stdin)) as Orders;
const open = await Promise.all(
  links.map(({ endpoint, keys }) => connectLink({ endpoint, keys, name: 'server' })),
);
for (const link of open) link.onChannel((channel) => new Server(new LinkPort(channel)));
const dealers = sockets.map(({ address, keys }) => {
  const dealer = new Dealer({
    curveServerKey: keys.serverPublicKey,
    curvePublicKey: keys.clientPublicKey,
    curveSecretKey: keys.clientSecretKey,
  });
  dealer.connect(address);
  const port = new RawPort(dealer);
  new Server(port);
  void port.send(order('hello'));
  return dealer;
});
const errors = await Promise.all(open.map((link) => link.ended));
for (const dealer of dealers) dealer.close();
for (const error of errors) if (error !== undefined) throw error;
