import type { ChildProcess } from 'node:child_process';
import { CxmindError } from '../../src/errors.ts';
import type { Channel, Packet } from '../../transport/channel.ts';
import type { Link } from '../../transport/link.ts';

type Message =
  | { readonly channel: number; readonly packet: { header: Uint8Array; frames: Uint8Array[] } }
  | { readonly channel: number; readonly packet: null };

/** A link over the IPC pipe between a process and its child; both need `serialization: 'advanced'`. */
export class IpcLink implements Link {
  readonly peer: string;
  readonly ended: Promise<CxmindError | undefined>;
  readonly #port: ChildProcess | NodeJS.Process;
  readonly #channels = new Map<number, IpcChannel>();
  readonly #early: Channel[] = [];
  #listener: ((channel: Channel) => void) | undefined;
  #nextId: number;
  #isClosing = false;

  constructor(port: ChildProcess | NodeJS.Process, peer: string, isParent: boolean) {
    this.peer = peer;
    this.#port = port;
    this.#nextId = isParent ? 0 : 1;
    const emitter = port as NodeJS.EventEmitter;
    emitter.on('message', (message: Message) => this.#take(message));
    this.ended = new Promise((resolve) => {
      emitter.once('disconnect', () => {
        for (const channel of this.#channels.values()) channel.end();
        resolve(
          this.#isClosing ? undefined : new CxmindError('PEER_LOST', `${peer} is disconnected`),
        );
      });
    });
  }

  open(): Channel {
    const channel = this.#make(this.#nextId);
    this.#nextId += 2;
    return channel;
  }

  onChannel(listener: (channel: Channel) => void): void {
    this.#listener = listener;
    for (const channel of this.#early.splice(0)) listener(channel);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    if (this.#port.connected) this.#port.disconnect();
    await this.ended;
  }

  #make(id: number): IpcChannel {
    const send = (packet: Packet | null): void => {
      if (!this.#port.connected) return;
      const plain = packet && {
        header: packet.header,
        frames: packet.frames.map((f) => f.slice()),
      };
      this.#port.send!({ channel: id, packet: plain });
    };
    const channel = new IpcChannel(send, () => this.#channels.delete(id));
    this.#channels.set(id, channel);
    return channel;
  }

  #take({ channel: id, packet }: Message): void {
    let channel = this.#channels.get(id);
    if (channel === undefined) {
      if (packet === null || id % 2 === this.#nextId % 2) return;
      channel = this.#make(id);
      if (this.#listener === undefined) this.#early.push(channel);
      else this.#listener(channel);
    }
    if (packet === null) channel.end();
    else channel.deliver(packet);
  }
}

class IpcChannel implements Channel {
  readonly closed: Promise<void>;
  readonly #send: (packet: Packet | null) => void;
  readonly #resolveClosed: () => void;
  readonly #inbox: Packet[] = [];
  #receiver: ((packet: Packet) => void) | undefined;
  #isClosed = false;

  constructor(send: (packet: Packet | null) => void, onClosed: () => void) {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#send = send;
    this.closed = promise;
    this.#resolveClosed = () => {
      resolve(undefined);
      onClosed();
    };
  }

  send(packet: Packet): boolean {
    if (this.#isClosed) return false;
    this.#send(packet);
    return true;
  }

  receive(receiver: (packet: Packet) => void): void {
    this.#receiver = receiver;
    for (const packet of this.#inbox.splice(0)) receiver(packet);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#send(null);
    this.end();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  deliver(packet: Packet): void {
    if (this.#isClosed) return;
    if (this.#receiver === undefined) this.#inbox.push(packet);
    else this.#receiver(packet);
  }

  end(): void {
    this.#isClosed = true;
    this.#resolveClosed();
  }
}
