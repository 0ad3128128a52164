/**
 * Envelopes of the packets between a cell and the host of its actor, in both directions.
 *
 * An envelope is one byte, the place of its kind in the table below, and then the fields of that kind in the order of
 * the table. The body of the packet is the message itself.
 */
import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { guarded } from '../../src/check/scalars.ts';
import {
  asCxmindError,
  type CxmindError,
  type ErrorCode,
  type WireError,
} from '../../src/errors.ts';
import { ByteReader, type ByteWriter } from '../../transport/bytes.ts';
import type { Channel, Packet } from '../../transport/channel.ts';
import { decodeValue, encodeBody, encodeValue } from '../../transport/codec.ts';
import { PacketWriter, split, type Body } from '../../transport/frame.ts';

/** Wire form of an error. */
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

/** Log event, without its fields. */
export const Logged = t.type({
  level: t.keyof({ debug: null, info: null, warn: null, error: null }),
  event: t.string,
});

/** Layout of one field of an envelope. `read` throws WIRE_INVALID. */
interface Field<T> {
  write(value: T, to: ByteWriter): void;
  read(from: ByteReader): T;
}

const u53: Field<number> = { write: (value, to) => to.u53(value), read: (from) => from.u53() };
const f64: Field<number> = { write: (value, to) => to.f64(value), read: (from) => from.f64() };
const text: Field<string> = { write: (value, to) => to.text(value), read: (from) => from.text() };

/** Field of a u32 length and that many bytes of msgpack, checked by a codec: for values that are rare. */
function packed<T>(codec: t.Type<T, unknown>): Field<T> {
  return {
    write(value, to) {
      const bytes = encodeValue(value);
      to.u32(bytes.length);
      to.put(bytes);
    },
    read(from) {
      const decoded = codec.decode(decodeValue(from.view(from.u32())));
      return E.isRight(decoded) ? decoded.right : from.fail(`without a ${codec.name}`);
    },
  };
}

const identified = { id: u53 };
const addressed = { ...identified, to: text, method: text };
const failed = packed(WireErrorForm);

/** Kinds of envelopes. Both ends send and take them. */
const envelopes = {
  /** A message that wants a reply within `timeoutMs`. `to` names the actor that it is for. */
  ask: { ...addressed, timeoutMs: f64 },
  /** A message that wants items and then a reply. `window` of the items may come before credit is given. */
  stream: { ...addressed, timeoutMs: f64, window: f64 },
  /** A message that wants no reply. Its id is for the sender's credit. */
  tell: addressed,
  /** One item of a stream, in the body. */
  item: identified,
  /** Room for `count` more items at the reader of a stream. */
  credit: { ...identified, count: u53 },
  /** End of an ask or a stream whose caller gave up. It overtakes messages that wait. */
  cancel: { ...identified, reason: failed },
  /** Answer to an ask, in the body. It gives one credit back. */
  reply: identified,
  /** Failure of an ask. It gives one credit back. */
  refusal: { ...identified, error: failed },
  /** End of every tell up to this id. It gives their credits back. */
  done: identified,
  /** The actor was made and takes messages. */
  ready: {},
  /** Order to abort the message that runs, refuse those that wait, dispose, and end. */
  stop: {},
  /** The actor is disposed of. */
  stopped: {},
  /** The actor cannot go on. */
  crashed: { error: failed },
  /** State of the actor for its next incarnation, in the body. */
  kept: {},
  /** Request to hear of the events of another actor. */
  watch: { ...identified, to: text },
  /** End of a watch. */
  unwatch: identified,
  /** Event of an actor that is watched, in the body. */
  event: identified,
  /** Log event for the system's logger. Its fields are in the body. */
  log: { level: packed(Logged.props.level), event: text },
};

type Kind = keyof typeof envelopes;
type Fields<F> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** An envelope of some of the kinds. */
export type EnvelopeOf<K extends Kind> = {
  [One in K]: { readonly kind: One } & Fields<(typeof envelopes)[One]>;
}[K];
/** An envelope of any kind. */
export type Envelope = EnvelopeOf<Kind>;

/** The table by number, and the number of each kind. */
const kinds = Object.keys(envelopes) as Kind[];
const namesOf = kinds.map((kind) => Object.keys(envelopes[kind]));
const fieldsOf = kinds.map((kind) => Object.values<Field<unknown>>(envelopes[kind]));
const numberOf = new Map(kinds.map((kind, number) => [kind, number]));

/** Body of a packet that says everything in its envelope. */
export const emptyBody: Body = encodeBody(undefined);

/** Length that few envelopes exceed, in bytes. */
const usualBytes = 128;

/** Sender of envelopes over one channel. */
export class Outbox {
  readonly #channel: Pick<Channel, 'send'>;
  /** Writer of every packet in turn, since memory of its own for each would cost more than the envelope. */
  readonly #writer = new PacketWriter(usualBytes);

  constructor(channel: Pick<Channel, 'send'>) {
    this.#channel = channel;
  }

  /** Sends one packet. Returns false when the channel is closed. */
  post(envelope: Envelope, body: Body = emptyBody): boolean {
    const kind = numberOf.get(envelope.kind)!;
    const values = envelope as unknown as Readonly<Record<string, unknown>>;
    const writer = this.#writer;
    writer.at = 0;
    writer.u8(kind);
    const [names, fields] = [namesOf[kind]!, fieldsOf[kind]!];
    for (let i = 0; i < fields.length; i++) fields[i]!.write(values[names[i]!], writer);
    return this.#channel.send(writer.end(body));
  }
}

/**
 * Sets the receiver of a channel, which takes each packet's envelope and body.
 *
 * @param onBad called with the error of a packet that is not as the table says
 */
export function receive(
  channel: Pick<Channel, 'receive'>,
  take: (envelope: Envelope, body: Body) => void,
  onBad: (error: CxmindError) => void,
): void {
  const texts = new RecentTexts();
  channel.receive((packet) => {
    let opened: Opened;
    try {
      opened = open(packet, texts);
    } catch (error) {
      onBad(asCxmindError(error));
      return;
    }
    take(opened.envelope, opened.body);
  });
}

interface Opened {
  readonly envelope: Envelope;
  /** The body, not yet decoded. */
  readonly body: Body;
}

/** Opens a packet. @throws WIRE_INVALID for one that is not as the table says */
export function open(packet: Packet, texts = new RecentTexts()): Opened {
  const { envelope: bytes, body } = split(packet);
  const reader = new EnvelopeReader(bytes, texts);
  const number = reader.u8();
  const kind = kinds[number] ?? reader.fail('of no known kind');
  const envelope: Record<string, unknown> = { kind };
  const [names, fields] = [namesOf[number]!, fieldsOf[number]!];
  for (let i = 0; i < fields.length; i++) envelope[names[i]!] = fields[i]!.read(reader);
  reader.end();
  return { envelope: envelope as unknown as Envelope, body };
}

class EnvelopeReader extends ByteReader {
  readonly #texts: RecentTexts;

  constructor(bytes: Uint8Array, texts: RecentTexts) {
    super(bytes, 'envelope');
    this.#texts = texts;
  }

  override text(): string {
    const length = this.u32();
    return this.#texts.of(this.bytes, this.skip(length), length);
  }
}

/** Number of texts that are remembered; a power of two. */
const recentCount = 64;

/** Texts that came last. The same few names come again and again, and to decode one costs more than to compare it. */
class RecentTexts {
  readonly #texts = new Array<string>(recentCount).fill('');

  /** Decodes UTF-8 at an offset. */
  of(bytes: Uint8Array, at: number, length: number): string {
    if (length === 0) return '';
    const place = (bytes[at]! + 7 * bytes[at + length - 1]! + 31 * length) & (recentCount - 1);
    const recent = this.#texts[place]!;
    if (recent.length === length && isAsciiAt(recent, bytes, at)) return recent;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString();
    return (this.#texts[place] = text);
  }
}

/** Compares an ASCII text with the bytes at an offset. */
function isAsciiAt(value: string, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) !== bytes[at + i]) return false;
  return true;
}
