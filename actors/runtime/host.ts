import * as E from 'fp-ts/lib/Either.js';
import {
  asCxmindError,
  CxmindError,
  fromWireError,
  toWireError,
  type ErrorDetail,
} from '../../src/errors.ts';
import type { Channel, Packet } from '../../transport/channel.ts';
import { encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { Actor, Context, Environment, Logger } from './actor.ts';
import { emptyBody, open, post, type EnvelopeOf, type LogLevel } from './envelope.ts';
import { callOf, decodeAs, type Protocol } from './protocol.ts';
import { stoppedError, valueOf } from './ref.ts';
import { Uplink } from './uplink.ts';

/** Tells whose credits are given back together while the queue is not empty. */
const creditBatch = 32;

/** A message in the queue and, while it is worked on, its context; the signal is made when looked at. */
class Job implements Context {
  readonly message: EnvelopeOf<'ask'> | EnvelopeOf<'tell'>;
  readonly body: Body;
  readonly deadline: number;
  readonly logger: Logger;
  #controller: AbortController | undefined;

  constructor(message: EnvelopeOf<'ask'> | EnvelopeOf<'tell'>, body: Body, logger: Logger) {
    this.message = message;
    this.body = body;
    this.deadline = message.kind === 'ask' ? Date.now() + message.timeoutMs : Infinity;
    this.logger = logger;
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

/** Runs one actor at the far end of a channel: takes messages one at a time and in order, and answers them. */
export class ActorHost {
  readonly #channel: Channel;
  readonly #uplink: Uplink;
  readonly #onEnd: (crash: CxmindError | undefined) => void;
  readonly #queue: Job[] = [];
  readonly #environment: Environment;
  #protocol: Protocol | undefined;
  #actor: Actor<Protocol> | undefined;
  #running: Job | undefined;
  #isStopping = false;
  #hasEnded = false;
  #creditsDue = 0;
  #lastTell = 0;

  /** @param options.onEnd called once: with the error after a crash, with nothing after an orderly stop */
  constructor(options: {
    readonly channel: Channel;
    readonly place: Pick<Environment, 'name' | 'restarts' | 'node' | 'devices'>;
    readonly onEnd: (crash: CxmindError | undefined) => void;
  }) {
    const { channel, place, onEnd } = options;
    const { name, restarts, node, devices } = place;
    const uplink = new Uplink(channel);
    this.#channel = channel;
    this.#uplink = uplink;
    this.#onEnd = onEnd;
    this.#environment = {
      name,
      restarts,
      node,
      devices,
      logger: remoteLogger(channel),
      refTo: (to, protocol) => uplink.refTo(to, protocol),
    };
    channel.receive((packet) => this.#take(packet));
  }

  /** Makes the actor and announces it; whatever goes wrong until then is a crash. */
  async start<P extends Protocol>(
    make: (environment: Environment) => Promise<{ protocol: P; actor: Actor<P> }>,
  ): Promise<void> {
    try {
      const { protocol, actor } = await make(this.#environment);
      this.#protocol = protocol;
      this.#actor = actor;
    } catch (error) {
      this.#crash(asCxmindError(error));
      return;
    }
    if (this.#isStopping) void this.#end();
    else post(this.#channel, { kind: 'ready' });
  }

  /** Lets go of an actor that cannot be stopped: nothing of it is heard any more. */
  abandon(): void {
    this.#hasEnded = true;
    this.#running?.abort(stoppedError(this.#environment.name));
    this.#uplink.close(stoppedError(this.#environment.name));
    this.#channel.close();
  }

  #take(packet: Packet): void {
    const opened = open(packet);
    if (E.isLeft(opened)) {
      this.#environment.logger.error({ error: opened.left }, 'bad packet');
      return;
    }
    const { envelope, body } = opened.right;
    switch (envelope.kind) {
      case 'ask':
      case 'tell':
        this.#queue.push(new Job(envelope, body, this.#environment.logger));
        this.#pump();
        return;
      case 'cancel':
        this.#cancel(envelope);
        return;
      case 'stop':
        this.#stop();
        return;
      case 'reply':
      case 'refusal':
        this.#uplink.settle(envelope, body);
        return;
      case 'done':
      case 'ready':
      case 'stopped':
      case 'crashed':
      case 'log':
        return;
    }
  }

  #pump(): void {
    while (this.#running === undefined && !this.#isStopping) {
      const job = this.#queue.shift();
      if (job === undefined) break;
      this.#running = job;
      if (job.message.kind === 'ask') this.#giveCredits();
      let result: unknown;
      try {
        result = this.#handle(job);
      } catch (error) {
        this.#fail(job, error);
        continue;
      }
      if (result instanceof Promise) {
        void result.then(
          (value) => this.#resume(() => this.#succeed(job, value)),
          (error: unknown) => this.#resume(() => this.#fail(job, error)),
        );
      } else {
        this.#succeed(job, result);
      }
    }
    this.#giveCredits();
  }

  #resume(finish: () => void): void {
    if (this.#hasEnded) return;
    finish();
    this.#pump();
  }

  #handle(job: Job): unknown {
    const { method } = job.message;
    const protocol = this.#protocol!;
    const { request } = callOf(protocol, method);
    const where = `${this.#environment.name}.${method}`;
    const message: unknown = decodeAs(request, valueOf(job.body), where);
    const actor = this.#actor as unknown as Record<
      string,
      (message: unknown, context: Context) => unknown
    >;
    return actor[method]!(message, job);
  }

  #succeed(job: Job, value: unknown): void {
    if (job.message.kind === 'tell') {
      this.#finish(job);
      return;
    }
    let reply: Body;
    try {
      reply = encodeBody(callOf(this.#protocol!, job.message.method).reply.encode(value));
    } catch (error) {
      this.#fail(job, error);
      return;
    }
    this.#giveCredits();
    post(this.#channel, { kind: 'reply', id: job.message.id }, reply);
    this.#finish(job);
  }

  #fail(job: Job, thrown: unknown): void {
    const error = asCxmindError(thrown);
    if (error.detail['fatal'] === true) {
      this.#crash(error);
      return;
    }
    if (job.message.kind === 'ask') this.#refuse(job.message.id, error);
    else this.#environment.logger.error({ error, method: job.message.method }, 'tell failed');
    this.#finish(job);
  }

  #refuse(id: number, error: CxmindError): void {
    this.#giveCredits();
    post(this.#channel, { kind: 'refusal', id, error: toWireError(error) });
  }

  #finish(job: Job): void {
    this.#running = undefined;
    if (job.message.kind === 'tell') {
      this.#lastTell = job.message.id;
      if (++this.#creditsDue >= creditBatch) this.#giveCredits();
    }
    if (this.#isStopping) void this.#end();
  }

  #giveCredits(): void {
    if (this.#creditsDue === 0) return;
    this.#creditsDue = 0;
    post(this.#channel, { kind: 'done', id: this.#lastTell });
  }

  #cancel({ id, reason }: EnvelopeOf<'cancel'>): void {
    if (this.#running?.message.id === id) {
      this.#running.abort(fromWireError(reason));
      return;
    }
    const at = this.#queue.findIndex((job) => job.message.id === id);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    this.#refuse(id, fromWireError(reason));
  }

  #stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    const error = stoppedError(this.#environment.name);
    for (const { message } of this.#queue) {
      if (message.kind === 'ask') this.#refuse(message.id, error);
    }
    this.#queue.length = 0;
    this.#uplink.close(error);
    if (this.#running !== undefined) this.#running.abort(error);
    else if (this.#actor !== undefined) void this.#end();
  }

  async #end(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#giveCredits();
    try {
      const actor = this.#actor!;
      if (actor[Symbol.asyncDispose] !== undefined) await actor[Symbol.asyncDispose]!();
      else actor[Symbol.dispose]?.();
    } catch (error) {
      this.#environment.logger.error({ error: asCxmindError(error) }, 'dispose failed');
    }
    post(this.#channel, { kind: 'stopped' });
    this.#onEnd(undefined);
  }

  #crash(error: CxmindError): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#isStopping = true;
    post(this.#channel, { kind: 'crashed', error: toWireError(error) });
    this.#onEnd(error);
  }
}

/** A logger whose events surface at the system's end of the channel. */
function remoteLogger(channel: Channel): Logger {
  const at =
    (level: LogLevel) =>
    (fields: object, event: string): void => {
      post(channel, { kind: 'log', level, event }, fieldsBody(fields));
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Fields as a body; errors in their wire form, and a complaint in place of what is not plain data. */
function fieldsBody(fields: object): Body {
  const plain: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    plain[key] = value instanceof Error ? toWireError(value) : (value as unknown);
  }
  try {
    return encodeBody(plain);
  } catch (error) {
    const detail: ErrorDetail = { unloggable: asCxmindError(error).message };
    return Object.keys(plain).length === 0 ? emptyBody : encodeBody(detail);
  }
}
