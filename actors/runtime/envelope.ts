import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { guarded } from '../../src/check/scalars.ts';
import { CxmindError, type ErrorCode, type WireError } from '../../src/errors.ts';
import type { Channel, Packet } from '../../transport/channel.ts';
import { encodeBody } from '../../transport/codec.ts';
import { join, split, type Body } from '../../transport/frame.ts';
import { checked, Cursor, invalid, number, text, type Field } from './field.ts';

/** The wire form of an error. */
export const WireErrorForm: t.Type<WireError> = t.recursion('WireError', () =>
  t.intersection([
    t.type({
      code: guarded('ErrorCode', (value): value is ErrorCode => typeof value === 'string'),
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
const identified = { id: number };
const addressed = { to: text, method: text };
const failed = checked(WireErrorForm);

/**
 * Every kind of packet between a system and the host of an actor; both ends send and take them.
 *
 * An envelope is one byte, its kind's place in this table, and the fields in the order they have here.
 */
const envelopes = {
  /** A message that wants a reply within `timeoutMs`; `to` names the actor it is for. */
  ask: { ...identified, ...addressed, timeoutMs: number },
  /** A message that wants items and then a reply; `window` of them may come before credit is given. */
  stream: { ...identified, ...addressed, timeoutMs: number, window: number },
  /** A message that wants none; its id is for the sender's credit. */
  tell: { ...identified, ...addressed },
  /** One item of a stream is in the body. */
  item: identified,
  /** The reader of a stream has room for so many items more. */
  credit: { ...identified, count: number },
  /** The caller gave up on an ask or a stream; goes past the queue. */
  cancel: { ...identified, reason: failed },
  /** An ask's answer is in the body; gives one credit back. */
  reply: identified,
  /** An ask failed; gives one credit back. */
  refusal: { ...identified, error: failed },
  /** Every tell up to this id is done; gives their credits back. */
  done: identified,
  /** The actor was made and takes messages. */
  ready: {},
  /** Stop: abort what runs, refuse what waits, dispose, end. */
  stop: {},
  /** The actor is disposed of. */
  stopped: {},
  /** The actor cannot go on. */
  crashed: { error: failed },
  /** The actor's state is in the body, for its next life. */
  kept: {},
  /** The actor wants to hear of what happens to another. */
  watch: { ...identified, to: text },
  unwatch: identified,
  /** What happened to an actor that is watched is in the body. */
  event: identified,
  /** An event for the system's logger; fields are in the body. */
  log: { level: checked(Logged.props.level), event: text },
};

type Kind = keyof typeof envelopes;
type Fields<F> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };
export type EnvelopeOf<K extends Kind> = { readonly kind: K } & Fields<(typeof envelopes)[K]>;
export type Envelope = { [K in Kind]: EnvelopeOf<K> }[Kind];
export type LogLevel = t.TypeOf<typeof Logged>['level'];

/** The table by number, and the number of each kind. */
const kinds = Object.keys(envelopes) as Kind[];
const namesOf = kinds.map((kind) => Object.keys(envelopes[kind]));
const fieldsOf = kinds.map((kind) => Object.values<Field<unknown>>(envelopes[kind]));
const numberOf = new Map(kinds.map((kind, number) => [kind, number]));

/** The body of packets that say everything in the envelope. */
export const emptyBody: Body = encodeBody(undefined);

/** Where envelopes are written before `join` copies them. */
const draft = new Cursor(new Uint8Array(512));

/** Sends one packet; false when the channel is closed. */
export function post(
  channel: Pick<Channel, 'send'>,
  envelope: Envelope,
  body: Body = emptyBody,
): boolean {
  const kind = numberOf.get(envelope.kind)!;
  const values = envelope as unknown as Readonly<Record<string, unknown>>;
  draft.at = 0;
  draft.bytes[draft.claim(1)] = kind;
  const [names, fields] = [namesOf[kind]!, fieldsOf[kind]!];
  for (let i = 0; i < fields.length; i++) fields[i]!.write(values[names[i]!], draft);
  return channel.send(join(draft.bytes, body, draft.at));
}

/** Envelope and body of a packet, the body not yet decoded; WIRE_INVALID for anything else. */
export function open(
  packet: Packet,
): E.Either<CxmindError, { readonly envelope: Envelope; readonly body: Body }> {
  try {
    const { envelope, body } = split(packet);
    return E.right({ envelope: read(envelope), body });
  } catch (error) {
    if (error instanceof CxmindError) return E.left(error);
    throw error;
  }
}

function read(bytes: Uint8Array): Envelope {
  const from = new Cursor(bytes);
  const number = from.bytes[from.pass(1)]!;
  const kind = kinds[number];
  if (kind === undefined) throw invalid('of no known kind');
  const envelope: Record<string, unknown> = { kind };
  const [names, fields] = [namesOf[number]!, fieldsOf[number]!];
  for (let i = 0; i < fields.length; i++) envelope[names[i]!] = fields[i]!.read(from);
  if (from.at !== bytes.length) throw invalid(`of kind '${kind}' with bytes after its fields`);
  return envelope as unknown as Envelope;
}
