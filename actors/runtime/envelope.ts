import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { CxmindError, type ErrorCode, type WireError } from '../../src/errors.ts';
import type { Channel } from '../../transport/channel.ts';
import { decodeValue, encodeBody, encodeValue } from '../../transport/codec.ts';
import { join, split, type Body } from '../../transport/frame.ts';
import type { Packet } from '../../transport/channel.ts';

/** The wire form of an error. */
export const WireErrorForm: t.Type<WireError> = t.recursion('WireError', () =>
  t.intersection([
    t.type({
      code: new t.Type<ErrorCode>(
        'ErrorCode',
        (value): value is ErrorCode => typeof value === 'string',
        (value, context) =>
          typeof value === 'string' ? t.success(value as ErrorCode) : t.failure(value, context),
        t.identity,
      ),
      message: t.string,
      detail: t.record(t.string, t.unknown),
    }),
    t.partial({ stack: t.string, cause: WireErrorForm }),
  ]),
);

/** An event for a logger, less its fields. */
export const Logged = t.type({
  level: t.keyof({ debug: null, info: null, warn: null, error: null }),
  event: t.string,
});
const identified = { id: t.number };
const addressed = { to: t.string, method: t.string };

/** Every kind of packet between a system and the host of an actor; both ends send and take them. */
const envelopes = {
  /** A message that wants a reply within `timeoutMs`; `to` names the actor it is for. */
  ask: t.type({ kind: t.literal('ask'), ...identified, ...addressed, timeoutMs: t.number }),
  /** A message that wants none; its id is for the sender's credit. */
  tell: t.type({ kind: t.literal('tell'), ...identified, ...addressed }),
  /** The caller gave up on an ask; goes past the queue. */
  cancel: t.type({ kind: t.literal('cancel'), ...identified, reason: WireErrorForm }),
  /** An ask's answer is in the body; gives one credit back. */
  reply: t.type({ kind: t.literal('reply'), ...identified }),
  /** An ask failed; gives one credit back. */
  refusal: t.type({ kind: t.literal('refusal'), ...identified, error: WireErrorForm }),
  /** Every tell up to this id is done; gives their credits back. */
  done: t.type({ kind: t.literal('done'), ...identified }),
  /** The actor was made and takes messages. */
  ready: t.type({ kind: t.literal('ready') }),
  /** Stop: abort what runs, refuse what waits, dispose, end. */
  stop: t.type({ kind: t.literal('stop') }),
  /** The actor is disposed of. */
  stopped: t.type({ kind: t.literal('stopped') }),
  /** The actor cannot go on. */
  crashed: t.type({ kind: t.literal('crashed'), error: WireErrorForm }),
  /** An event for the system's logger; fields are in the body. */
  log: t.intersection([t.type({ kind: t.literal('log') }), Logged]),
};

type Kind = keyof typeof envelopes;
export type EnvelopeOf<K extends Kind> = t.TypeOf<(typeof envelopes)[K]>;
export type Envelope = { [K in Kind]: EnvelopeOf<K> }[Kind];
export type LogLevel = t.TypeOf<typeof Logged>['level'];

const Kinded = t.type({ kind: t.keyof(envelopes) });

/** The body of packets that say everything in the envelope. */
export const emptyBody: Body = encodeBody(undefined);

/** Sends one packet; false when the channel is closed. */
export function post(
  channel: Pick<Channel, 'send'>,
  envelope: Envelope,
  body: Body = emptyBody,
): boolean {
  return channel.send(join(encodeValue(envelope), body));
}

/** Envelope and body of a packet, the body not yet decoded; WIRE_INVALID for anything else. */
export function open(
  packet: Packet,
): E.Either<CxmindError, { readonly envelope: Envelope; readonly body: Body }> {
  const parts = split(packet);
  if (E.isLeft(parts)) return parts;
  const value = decodeValue(parts.right.envelope);
  if (E.isLeft(value)) return value;
  const kinded = Kinded.decode(value.right);
  if (E.isLeft(kinded)) return invalid('of no known kind');
  const { kind } = kinded.right;
  const envelope = envelopes[kind].decode(value.right) as t.Validation<Envelope>;
  if (E.isLeft(envelope)) return invalid(`of kind '${kind}' with missing or mistyped fields`);
  return E.right({ envelope: envelope.right, body: parts.right.body });
}

function invalid(what: string): E.Either<CxmindError, never> {
  return E.left(new CxmindError('WIRE_INVALID', `envelope ${what}`));
}
