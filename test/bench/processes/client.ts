import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Router } from 'zeromq';
import { makeRunKeys, ticketFor } from '../../../transport/zmq/keys.ts';
import { LinkListener } from '../../../transport/zmq/listener.ts';
import { now } from '../harness.ts';
import { LinkPort, order, RawPort, type Port } from './port.ts';
import type { Orders } from './server.ts';

/**
 * Longest time without a message. A bare socket of zeromq.js may lose the event that it can send again, on a busy machine.
 */
const STALL_MS = 10_000;

/** Asks the other process for something, and waits for all of it. */
export class Client {
  readonly #port: Port;
  #onMessage: (frame: Uint8Array | undefined) => void = () => undefined;

  constructor(port: Port) {
    this.#port = port;
    port.onMessage = (_header, frame) => this.#onMessage(frame);
  }

  /** Round trips of that many bytes, one after the other; how long each took, in seconds. */
  async ask(count: number, bytes: number): Promise<number[]> {
    const header = order('echo', bytes);
    const seconds: number[] = [];
    for (let i = 0; i < count; i++) {
      const start = now();
      await this.#together(1, () => this.#port.send(header));
      seconds.push(now() - start);
    }
    return seconds;
  }

  /** Small messages, one way. */
  async flood(count: number, bytes: number): Promise<void> {
    await this.#together(count, () => this.#port.send(order('flood', 16, count, bytes)));
  }

  /** Tensors, one way. */
  async tensors(count: number, bytes: number): Promise<void> {
    await this.#together(
      count,
      () => this.#port.send(order('tensors', 16, count, bytes)),
      (frame) => {
        if (frame?.byteLength !== bytes) throw new Error(`a tensor of ${frame?.byteLength ?? 0}`);
        void this.#port.send(order('received'));
      },
    );
  }

  async #together(
    count: number,
    start: () => unknown,
    take?: (frame: Uint8Array | undefined) => void,
  ): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let missing = count;
      const stalled = setTimeout(() => {
        reject(new Error(`nothing came for ${STALL_MS / 1000} s, ${missing} messages are missing`));
      }, STALL_MS);
      this.#onMessage = (frame) => {
        stalled.refresh();
        take?.(frame);
        if (--missing > 0) return;
        clearTimeout(stalled);
        resolve();
      };
      start();
    });
  }
}

export interface Clients extends AsyncDisposable {
  readonly link: Client;
  readonly raw: Client;
}

/** Another process, at the end of a link and of a bare pair of sockets, both with CURVE. */
export async function startClients(): Promise<Clients> {
  const keys = makeRunKeys();
  const { endpoint: _, ...join } = ticketFor('', keys);
  const listener = await LinkListener.bind({ address: 'tcp://127.0.0.1:*', keys });
  const router = new Router({ curveServer: true, curveSecretKey: keys.server.secretKey });
  await router.bind('tcp://127.0.0.1:*');
  const orders: Orders = {
    links: [{ endpoint: listener.endpoint, keys: join }],
    sockets: [{ address: router.lastEndpoint!, keys: join }],
  };
  const child = spawn(process.execPath, [fileURLToPath(new URL('server.ts', import.meta.url))], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const exit = once(child, 'exit');
  child.stdin.end(JSON.stringify(orders));
  const rawPort = new RawPort(router);
  const [link] = await Promise.all([
    new Promise<LinkPort>((resolve) => {
      listener.onLink((made) => {
        resolve(new LinkPort(made.open()));
        void made.ended.then(failOn);
      });
    }),
    new Promise<void>((resolve) => (rawPort.onMessage = () => resolve())),
  ]);
  return {
    link: new Client(link),
    raw: new Client(rawPort),
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      rawPort.close();
      await exit;
    },
  };
}

/** A bench whose link broke must not wait for ever. */
function failOn(error: Error | undefined): void {
  if (error !== undefined) throw error;
}
