import assert from 'node:assert/strict';
import fc from 'fast-check';
import { emptyBody, open, Outbox, type Envelope } from '../../../actors/runtime/envelope.ts';
import { CxmindError, toWireError } from '../../../src/errors.ts';
import type { Packet } from '../../../transport/channel.ts';
import { encodeBody } from '../../../transport/codec.ts';
import { join, split } from '../../../transport/frame.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const id = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const error = fc.record({ message: text, deep: fc.boolean() }).map(({ message, deep }) => {
  const cause = deep ? { cause: new CxmindError('DATA_INVALID', message) } : {};
  return toWireError(new CxmindError('WIRE_INVALID', message, { detail: { row: 3 }, ...cause }));
});
/** One arbitrary for each kind: a new kind without one does not compile. */
const byKind: { readonly [K in Envelope['kind']]: fc.Arbitrary<Extract<Envelope, { kind: K }>> } = {
  ask: fc.record({
    kind: fc.constant('ask'),
    id,
    to: text,
    method: text,
    timeoutMs: fc.constantFrom(0, 0.5, 6e4, Infinity),
  }),
  stream: fc.record({
    kind: fc.constant('stream'),
    id,
    to: text,
    method: text,
    timeoutMs: fc.constantFrom(0, 6e4, Infinity),
    window: fc.nat(),
  }),
  item: fc.record({ kind: fc.constant('item'), id }),
  credit: fc.record({ kind: fc.constant('credit'), id, count: fc.nat() }),
  tell: fc.record({ kind: fc.constant('tell'), id, to: text, method: text }),
  cancel: fc.record({ kind: fc.constant('cancel'), id, reason: error }),
  reply: fc.record({ kind: fc.constant('reply'), id }),
  refusal: fc.record({ kind: fc.constant('refusal'), id, error }),
  done: fc.record({ kind: fc.constant('done'), id }),
  ready: fc.record({ kind: fc.constant('ready') }),
  stop: fc.record({ kind: fc.constant('stop') }),
  stopped: fc.record({ kind: fc.constant('stopped') }),
  crashed: fc.record({ kind: fc.constant('crashed'), error }),
  kept: fc.record({ kind: fc.constant('kept') }),
  watch: fc.record({ kind: fc.constant('watch'), id, to: text }),
  unwatch: fc.record({ kind: fc.constant('unwatch'), id }),
  event: fc.record({ kind: fc.constant('event'), id }),
  log: fc.record({
    kind: fc.constant('log'),
    level: fc.constantFrom('info', 'error'),
    event: text,
  }),
};
const envelope: fc.Arbitrary<Envelope> = fc
  .oneof(...Object.values(byKind))
  .map((made) => ({ ...made }));

function packetOf(sent: Envelope, body = emptyBody): Packet {
  let packet: Packet | undefined;
  new Outbox({ send: (given) => ((packet = given), true) }).post(sent, body);
  return packet!;
}

function isRefused(packet: Packet): boolean {
  try {
    open(packet);
    return false;
  } catch (error) {
    assert.equal((error as CxmindError).code, 'WIRE_INVALID');
    return true;
  }
}

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
        assert.ok(isRefused(join(bytes.subarray(0, cut % bytes.length), emptyBody)));
        assert.ok(isRefused(join(Uint8Array.from([...bytes, 0]), emptyBody)));
      }),
    );
  });

  it('refuses a kind it does not know, and fields that are not what they should be', () => {
    assert.ok(isRefused(join(Uint8Array.of(200), emptyBody)));
    assert.ok(isRefused(join(Uint8Array.of(), emptyBody)));
    const error = { code: 7 } as unknown as ReturnType<typeof toWireError>;
    assert.ok(isRefused(packetOf({ kind: 'crashed', error })));
    const level = 'loud' as 'info';
    assert.ok(isRefused(packetOf({ kind: 'log', level, event: 'x' })));
  });

  it('answers any bytes with an envelope or WIRE_INVALID, never another error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(12), (bytes, kind) => {
        isRefused(join(bytes, emptyBody));
        isRefused(join(Uint8Array.from([kind, ...bytes]), emptyBody));
      }),
      { numRuns: 2000 },
    );
  });
});
