import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { noteSharedBytes } from '../../src/tensor/memory.ts';
import type { Channel, Packet } from '../channel.ts';

/**
 * A channel between two threads of a process over a MessagePort.
 *
 * The header is copied, being small; frames are views of SharedArrayBuffers, so their handles travel and
 * their bytes stay.
 */
export class ThreadChannel implements Channel {
  readonly closed: Promise<void>;
  readonly #port: MessagePort;
  #isClosed = false;

  constructor(port: MessagePort) {
    this.#port = port;
    this.closed = new Promise((resolve) => {
      port.once('close', () => {
        this.#isClosed = true;
        resolve();
      });
    });
  }

  send(packet: Packet): boolean {
    if (this.#isClosed) return false;
    this.#port.postMessage(
      packet.frames.length === 0 ? packet.header : [packet.header, ...packet.frames],
    );
    return true;
  }

  receive(receiver: (packet: Packet) => void): void {
    this.#port.on('message', (parts: Uint8Array | [Uint8Array, ...Uint8Array[]]) => {
      if (parts instanceof Uint8Array) {
        receiver({ header: parts, frames: [] });
      } else {
        const [header, ...frames] = parts;
        noteSharedBytes(frames.reduce((sum, { byteLength }) => sum + byteLength, 0));
        receiver({ header, frames });
      }
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#port.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A channel and the port to hand to a worker, which wraps it in a `ThreadChannel` of its own. */
export function threadPair(): [ThreadChannel, MessagePort] {
  const { port1, port2 } = new MessageChannel();
  return [new ThreadChannel(port1), port2];
}
