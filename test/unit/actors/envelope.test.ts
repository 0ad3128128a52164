import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  emptyBody,
  open,
  Outbox,
  type Envelope,
  type EnvelopeOf,
} from '../../../actors/runtime/envelope.ts';
import { CxmindError, toWireError } from '../../../src/errors.ts';
import type { Packet } from '../../../transport/channel.ts';
import { encodeBody } from '../../../transport/codec.ts';
import { join, split } from '../../../transport/frame.ts';
import { isRefused } from '../../support/refusal.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const id = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const error = fc.record({ message: text, deep: fc.boolean() }).map(({ message, deep }) => {
  const cause = deep ? { cause: new CxmindError('DATA_INVALID', message) } : {};
  return toWireError(new CxmindError('WIRE_INVALID', message, { detail: { row: 3 }, ...cause }));
});
const addressed = { id, to: text, method: text };
const timeoutMs = fc.constantFrom(0, 0.5, 6e4, Infinity);
/** Arbitraries for the fields of each kind: a new kind without them does not compile. */
const fields: {
  readonly [K in Envelope['kind']]: {
    readonly [F in Exclude<keyof EnvelopeOf<K>, 'kind'>]: fc.Arbitrary<EnvelopeOf<K>[F]>;
  };
} = {
  ask: { ...addressed, timeoutMs },
  stream: { ...addressed, timeoutMs, window: fc.nat() },
  item: { id },
  credit: { id, count: fc.nat() },
  tell: addressed,
  cancel: { id, reason: error },
  reply: { id },
  refusal: { id, error },
  done: { id },
  ready: {},
  stop: {},
  stopped: {},
  crashed: { error },
  kept: {},
  watch: { id, to: text },
  unwatch: { id },
  event: { id },
  log: { level: fc.constantFrom('info', 'error'), event: text },
};
const byKind = Object.entries(fields).map(([kind, own]) =>
  fc.record({ kind: fc.constant(kind), ...own }, { noNullPrototype: true }),
);
const envelope = fc.oneof(...byKind) as fc.Arbitrary<Envelope>;

function packetOf(sent: Envelope, body = emptyBody): Packet {
  let packet: Packet | undefined;
  new Outbox({ send: (given) => ((packet = given), true) }).post(sent, body);
  return packet!;
}

const isNone = (packet: Packet): boolean => isRefused('WIRE_INVALID', () => open(packet));

describe('envelope', () => {
  it('opens to what was posted, its body untouched', () => {
    const body = encodeBody({ of: 'any kind' });
    fc.assert(
      fc.property(envelope, (sent) => {
        assert.deepEqual(open(packetOf(sent, body)), { envelope: sent, body });
      }),
      { numRuns: 500 },
    );
  });

  it('carries an error longer than most', () => {
    const long = toWireError(new CxmindError('INTERNAL', 'x'.repeat(20_000)));
    const sent: Envelope = { kind: 'crashed', error: long };
    assert.deepEqual(open(packetOf(sent)), { envelope: sent, body: emptyBody });
  });

  it('refuses one that is cut short or goes on after its fields', () => {
    fc.assert(
      fc.property(envelope, fc.nat(), (sent, cut) => {
        const bytes = split(packetOf(sent)).envelope;
        assert.ok(isNone(join(bytes.subarray(0, cut % bytes.length), emptyBody)));
        assert.ok(isNone(join(Uint8Array.from([...bytes, 0]), emptyBody)));
      }),
    );
  });

  it('refuses a kind it does not know, and fields that are not what they should be', () => {
    assert.ok(isNone(join(Uint8Array.of(200), emptyBody)));
    assert.ok(isNone(join(Uint8Array.of(), emptyBody)));
    const error = { code: 7 } as unknown as ReturnType<typeof toWireError>;
    assert.ok(isNone(packetOf({ kind: 'crashed', error })));
    const level = 'loud' as 'info';
    assert.ok(isNone(packetOf({ kind: 'log', level, event: 'x' })));
  });

  it('answers any bytes with an envelope or WIRE_INVALID, never another error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(12), (bytes, kind) => {
        isNone(join(bytes, emptyBody));
        isNone(join(Uint8Array.from([kind, ...bytes]), emptyBody));
      }),
      { numRuns: 2000 },
    );
  });
});
