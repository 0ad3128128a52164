import type { CxmindError } from '../../src/errors.ts';
import type { Body } from '../../transport/frame.ts';
import type { Context, Logger } from './actor.ts';
import type { EnvelopeOf } from './envelope.ts';
import { StreamOutlet } from './stream.ts';

/** A message that is for an actor to work on. */
export type Message = EnvelopeOf<'ask'> | EnvelopeOf<'stream'> | EnvelopeOf<'tell'>;

/** A message in an actor's queue and, while it is worked on, its context; the signal is made when looked at. */
export class Delivery implements Context {
  readonly message: Message;
  readonly body: Body;
  readonly deadline: number;
  readonly logger: Logger;
  /** Where a stream's items go. */
  readonly outlet: StreamOutlet | undefined;
  #controller: AbortController | undefined;

  constructor(message: Message, body: Body, logger: Logger) {
    this.message = message;
    this.body = body;
    this.deadline = message.kind === 'tell' ? Infinity : Date.now() + message.timeoutMs;
    this.logger = logger;
    this.outlet = message.kind === 'stream' ? new StreamOutlet(message.window) : undefined;
  }

  get signal(): AbortSignal {
    return this.#abortion().signal;
  }

  abort(reason: CxmindError): void {
    this.#abortion().abort(reason);
  }

  #abortion(): AbortController {
    return (this.#controller ??= new AbortController());
  }
}
