import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeBulk, encodeChunkHead, encodeNext } from '../../../transport/zmq/bulk-message.ts';
import {
  atStart,
  bulkPartsOf,
  decodeControl,
  encodeBatch,
  encodeBeat,
  encodeEnd,
  encodeTerms,
  sizeOfRecord,
  type InPart,
  type OutRecord,
  type Progress,
} from '../../../transport/zmq/control-message.ts';
import { isRefused } from '../../support/refusal.ts';

const invalid = { code: 'WIRE_INVALID' };
const count = fc.maxSafeNat();
const channel = fc.nat(0xffffffff);
const plain = { noNullPrototype: true } as const;
const progress: fc.Arbitrary<Progress> = fc.record(
  {
    sequence: count,
    acked: count,
    bulkAcked: count,
    isMissingBatches: fc.boolean(),
    isMissingChunks: fc.boolean(),
  },
  plain,
);
const bytes = fc
  .tuple(fc.oneof(fc.nat(40), fc.constantFrom(32_767, 32_768, 32_769)), fc.nat(255))
  .map(([length, fill]) => new Uint8Array(length).fill(fill));
const record: fc.Arbitrary<OutRecord> = fc.oneof(
  fc.record({ kind: fc.constantFrom('open', 'close', 'bye'), channel }, plain),
  fc.record({ kind: fc.constant('credit'), channel, limit: count }, plain),
  fc.record({
    kind: fc.constant('packet'),
    channel,
    packet: fc.record({ header: bytes, frames: fc.array(bytes, { maxLength: 5 }) }),
  }),
);

const lengthOf = (part: InPart): number => (typeof part === 'number' ? part : part.length);

describe('control messages', () => {
  it('say again what a batch was made of', () => {
    fc.assert(
      fc.property(progress, fc.array(record, { maxLength: 6 }), (written, records) => {
        const message = encodeBatch(written, records);
        assert.equal(
          message.length,
          records.reduce((sum, one) => sum + sizeOfRecord(one), 40),
        );
        const read = decodeControl(message);
        assert.ok(read.kind === 'batch');
        assert.deepEqual(read.progress, written);
        read.records.forEach((got, i) => {
          const sent = records[i]!;
          if (got.kind !== 'packet' || sent.kind !== 'packet') {
            assert.deepEqual(got, sent);
            return;
          }
          const parts = [got.header, ...got.frames];
          const all = [sent.packet.header, ...sent.packet.frames];
          assert.deepEqual(
            parts.map(lengthOf),
            all.map(({ length }) => length),
          );
          parts.forEach((part, at) => {
            if (typeof part !== 'number') assert.equal(Buffer.compare(part, all[at]!), 0);
          });
          assert.deepEqual(
            parts.filter((part) => typeof part === 'number'),
            bulkPartsOf(sent.packet).map(({ length }) => length),
          );
        });
      }),
    );
  });

  it('say again terms, beats and ends', () => {
    const terms = { name: 'nœud/3', creditBytes: 7, intervalMs: 5, deadAfterMs: 9 };
    fc.assert(
      fc.property(progress, (written) => {
        const beat = decodeControl(encodeBeat(written));
        assert.deepEqual(beat, { kind: 'beat', progress: written });
        const end = decodeControl(encodeEnd(written, 'garbage'));
        assert.deepEqual(end, { kind: 'end', progress: written, reason: 'garbage' });
      }),
    );
    const hello = decodeControl(encodeTerms('hello', terms));
    assert.ok(hello.kind === 'hello');
    assert.deepEqual(hello.terms, terms);
  });

  it('are WIRE_INVALID when cut or lengthened anywhere', () => {
    const packet = { header: Uint8Array.of(1, 2), frames: [Uint8Array.of(3)] };
    const batch = encodeBatch(atStart, [
      { kind: 'open', channel: 1 },
      { kind: 'packet', channel: 1, packet },
    ]);
    for (let length = 0; length < batch.length; length++) {
      assert.throws(() => decodeControl(batch.subarray(0, length)), invalid);
    }
    assert.throws(() => decodeControl(Buffer.concat([batch, Buffer.alloc(1)])), invalid);
  });

  it('are read or WIRE_INVALID, whatever bytes come', () => {
    const messages = fc.oneof(
      fc.uint8Array({ maxLength: 120 }),
      fc
        .tuple(
          progress,
          fc.array(record, { maxLength: 3 }),
          fc.array(fc.tuple(fc.nat(), fc.nat(255))),
        )
        .map(([written, records, changes]) => {
          const message = encodeBatch(written, records);
          for (const [at, value] of changes) message[at % Math.min(message.length, 90)] = value;
          return message;
        }),
    );
    fc.assert(
      fc.property(messages, (message) => {
        isRefused('WIRE_INVALID', () => decodeControl(message));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('bulk messages', () => {
  const head = { sequence: 3, batch: 2, offset: 500, channel: 7 };

  it('say again what chunk they are', () => {
    const chunk = Buffer.from([1, 2, 3, 4]);
    const read = decodeBulk([encodeChunkHead(head), chunk]);
    assert.deepEqual(read, { kind: 'chunk', head, bytes: chunk });
    assert.deepEqual(decodeBulk([encodeNext(9)]), { kind: 'next', sequence: 9 });
  });

  it('are WIRE_INVALID when frames are missing, empty or too many', () => {
    const chunk = Buffer.from([1, 2, 3, 4]);
    const first = encodeChunkHead(head);
    const wrong: Buffer[][] = [
      [],
      [first],
      [chunk],
      [first, chunk, chunk],
      [encodeNext(9), chunk],
      [first.subarray(1), chunk],
      [encodeChunkHead({ ...head, offset: 2 ** 60 }), chunk],
      [first, Buffer.alloc(0)],
    ];
    for (const parts of wrong) assert.throws(() => decodeBulk(parts), invalid);
  });
});
