import { once } from 'node:events';
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';

/** A worker thread at the other end of a bare MessageChannel: what Node itself can do. */
export class RawEcho implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  #onReply: (reply: unknown) => void = () => undefined;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#worker = new Worker(new URL('raw-echo.ts', import.meta.url), {
      workerData: port2,
      transferList: [port2],
    });
    this.#port.on('message', (reply: unknown) => this.#onReply(reply));
  }

  async ask(message: unknown): Promise<unknown> {
    return new Promise((resolve) => {
      this.#onReply = resolve;
      this.#port.postMessage(message);
    });
  }

  /** Resolves when as many replies came as there were messages. */
  async askTogether(messages: readonly unknown[]): Promise<void> {
    return new Promise((resolve) => {
      let missing = messages.length;
      this.#onReply = () => {
        if (--missing === 0) resolve();
      };
      for (const message of messages) this.#port.postMessage(message);
    });
  }

  /** One way; resolves when the last was taken. */
  async tell(count: number, message: Uint8Array): Promise<void> {
    for (let i = 0; i < count; i++) this.#port.postMessage(message);
    await this.ask({ id: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.#worker, 'exit');
    this.#port.close();
    await exit;
  }
}
