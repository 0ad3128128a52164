import { CxmindError } from '../../src/errors.ts';
import { bytesOf } from '../shared/bytes.ts';
import { dtypeOfNumber } from './call.ts';
import type { Message } from './group.ts';

/** What stands before the bytes of a message. */
export interface MessageHead {
  readonly tag: number;
  readonly dtype: number;
  readonly byteLength: number;
}

/** Where an inbox gets the messages of its rank from, in order. */
export interface MessageSource {
  head(): Promise<MessageHead>;
  /** The bytes of the message whose head was read last. */
  body(into: Uint8Array): Promise<void>;
}

interface Wanted {
  readonly message: Message;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Kept {
  readonly head: MessageHead;
  readonly bytes: Uint8Array;
}

/**
 * Brings the messages of one rank to who receives them by tag. A message that nobody wants yet is kept, but
 * the source is only read while somebody wants one.
 */
export class Inbox {
  readonly #source: MessageSource;
  readonly #wanted: Wanted[] = [];
  readonly #kept: Kept[] = [];
  #isReading = false;

  constructor(source: MessageSource) {
    this.#source = source;
  }

  /** Resolves when a message with this tag is in `message.elements`. */
  receive(message: Message): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#wanted.push({ message, resolve, reject });
      for (const { head } of [...this.#kept]) this.#give(head.tag);
      void this.#read();
    });
  }

  /** Gives the oldest kept message of a tag to who wants it first. */
  #give(tag: number): void {
    const at = this.#kept.findIndex(({ head }) => head.tag === tag);
    const to = this.#wanted.findIndex(({ message }) => message.tag === tag);
    if (at === -1 || to === -1) return;
    const [{ head, bytes }] = this.#kept.splice(at, 1) as [Kept];
    const [{ message, resolve, reject }] = this.#wanted.splice(to, 1) as [Wanted];
    const unfit = unfitness(head, message);
    if (unfit === undefined) {
      bytesOf(message.elements).set(bytes);
      resolve();
    } else {
      reject(unfit);
    }
  }

  async #read(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (this.#wanted.length > 0) await this.#readOne();
    } catch (error) {
      for (const { reject } of this.#wanted.splice(0)) reject(error);
    } finally {
      this.#isReading = false;
    }
  }

  async #readOne(): Promise<void> {
    const head = await this.#source.head();
    const wanted = this.#wanted.find(({ message }) => message.tag === head.tag);
    if (wanted === undefined || unfitness(head, wanted.message) !== undefined) {
      const bytes = new Uint8Array(head.byteLength);
      await this.#source.body(bytes);
      this.#kept.push({ head, bytes });
      this.#give(head.tag);
    } else {
      await this.#source.body(bytesOf(wanted.message.elements));
      this.#wanted.splice(this.#wanted.indexOf(wanted), 1);
      wanted.resolve();
    }
  }
}

/** Why a message does not fit where it is wanted. */
export function unfitness(
  head: MessageHead,
  { tag, dtype, elements }: Message,
): CxmindError | undefined {
  if (head.dtype !== dtype) {
    const [sent, wanted] = [head.dtype, dtype].map(dtypeOfNumber);
    return new CxmindError(
      'DTYPE_MISMATCH',
      `message ${tag}: sent as ${sent}, received as ${wanted}`,
    );
  }
  if (head.byteLength === elements.byteLength) return undefined;
  return new CxmindError(
    'SHAPE_MISMATCH',
    `message ${tag}: sent ${head.byteLength} bytes, received into ${elements.byteLength}`,
  );
}
