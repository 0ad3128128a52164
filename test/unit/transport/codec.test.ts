import assert from 'node:assert/strict';
import fc from 'fast-check';
import * as E from 'fp-ts/lib/Either.js';
import { Packr } from 'msgpackr';
import { CxmindError } from '../../../src/errors.ts';
import { bytesPerElement, type DType } from '../../../src/tensor/dtype.ts';
import { rows, sizeOf, tensorOf, zeros, type Tensor } from '../../../src/tensor/tensor.ts';
import { decodeBody, decodeValue, encodeBody, encodeValue } from '../../../transport/codec.ts';
import { join, split } from '../../../transport/frame.ts';
import { tensor } from '../../../transport/tensor-codec.ts';
import { anyCharacter } from '../../support/any-character.ts';
import { isRefused } from '../../support/refusal.ts';

/** Every dtype, as the compiler sees to it. */
const dtypes: Record<DType, null> = {
  ...{ f32: null, f16: null, bf16: null, i32: null, i64: null, u8: null, bool: null },
};
const allDtypes = Object.keys(dtypes) as DType[];
const text = fc.string({ unit: anyCharacter });
const key = text.filter((name) => name !== '__proto__');
const number = fc.double().map((value) => (Object.is(value, -0) ? 0 : value));
const scalar = fc.oneof(
  number,
  fc.integer(),
  text,
  fc.boolean(),
  fc.constant(null),
  fc.constant(undefined),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.uint8Array(),
);
const aTensor = fc
  .record({
    dtype: fc.constantFrom(...allDtypes),
    shape: fc.array(fc.nat(3), { maxLength: 3 }),
    byte: fc.nat(255),
  })
  .map(({ dtype, shape, byte }) => {
    const made = zeros(dtype, shape);
    const { buffer, byteLength } = made.data;
    new Uint8Array(buffer, 0, byteLength).fill(byte);
    return made;
  });
const { message } = fc.letrec<{ message: unknown }>((tie) => ({
  message: fc.oneof(
    { depthSize: 'small' },
    scalar,
    aTensor,
    fc.array(tie('message'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(key, fc.constant('$tensor'), fc.constant('value')), tie('message'), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  ),
}));

const invalid = { code: 'WIRE_INVALID' };

describe('codec', () => {
  it('decodes what it encoded to the same message', () => {
    fc.assert(
      fc.property(message, (value) => assert.deepEqual(decodeBody(encodeBody(value)), value)),
      { numRuns: 500 },
    );
  });

  it('brings a tensor of every dtype through with its bytes', () => {
    for (const dtype of allDtypes) {
      const original = tensorOf(dtype, [2, 3], [1, 0, 1, 1, 0, 1]);
      const { body } = split(join(encodeValue({}), encodeBody({ original })));
      const copy = (decodeBody(body) as { original: Tensor }).original;
      assert.deepEqual(copy, original);
      assert.equal(copy.data.constructor, original.data.constructor);
    }
  });

  it('copies no byte of a tensor on shared memory, a view into it included', () => {
    const arena = zeros('f32', [8, 4]);
    const part = rows(arena, 2, 4);
    const copy = decodeBody(encodeBody([part])) as [Tensor<'f32'>];
    assert.equal(copy[0].data.buffer, arena.data.buffer);
    copy[0].data[0] = 5;
    assert.equal(arena.data[8], 5);
  });

  it('moves a tensor on a plain buffer to shared memory', () => {
    const plain: Tensor<'f32'> = { dtype: 'f32', shape: [2], data: Float32Array.of(1, 2) };
    const moved = decodeBody(encodeBody(plain)) as Tensor<'f32'>;
    assert.ok(moved.data.buffer instanceof SharedArrayBuffer);
    assert.deepEqual(moved, plain);
  });

  it('aligns a frame that arrives at an odd address', () => {
    const { bytes, frames } = encodeBody(tensorOf('i64', [2], [3, 4]));
    const odd = new Uint8Array(new SharedArrayBuffer(17), 1);
    odd.set(frames[0]!);
    assert.deepEqual(
      (decodeBody({ bytes, frames: [odd] }) as Tensor).data,
      BigInt64Array.of(3n, 4n),
    );
  });

  it('sends a tensor named twice once', () => {
    const weights = zeros('f32', [4]);
    assert.equal(encodeBody({ a: weights, b: [weights] }).frames.length, 1);
  });

  it('names the path of what is not plain data', () => {
    const refused = (value: unknown, expected: RegExp): void => {
      assert.throws(
        () => encodeBody(value),
        (error) =>
          error instanceof CxmindError &&
          error.code === 'WIRE_INVALID' &&
          expected.test(error.message),
      );
    };
    refused({ groups: [{}, { at: new Date() }] }, /groups\.1\.at is an instance of Date/);
    refused({ f: () => 0 }, /f is a function/);
    refused([1n << 70n], /0 is a bigint of more than 64 bits/);
    refused({ m: new Map() }, /m is an instance of Map/);
    refused({ x: Float32Array.of(1) }, /x is an instance of Float32Array/);
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    refused(cycle, /a cycle/);
  });

  it('refuses a frame whose length is not that of its tensor', () => {
    const { bytes, frames } = encodeBody(zeros('f32', [4]));
    assert.throws(() => decodeBody({ bytes, frames: [frames[0]!.subarray(4)] }), invalid);
    assert.throws(() => decodeBody({ bytes, frames: [] }), invalid);
  });

  it('refuses tables that do not describe tensors, and slots without one', () => {
    const frame = new Uint8Array(new SharedArrayBuffer(4));
    for (const form of [
      [null, [['f64', [1]]]],
      [null, [['f32', [-1]]]],
      [null, [['f32', [0.5]]]],
      [null, [['f32', [2]]]],
      [null, 'f32'],
      null,
    ]) {
      const body = { bytes: encodeValue(form), frames: [frame] };
      assert.throws(() => decodeBody(body), invalid, JSON.stringify(form));
    }
    for (const slot of [1, -2, 0.5, 'x']) {
      const bytes = encodeValue([{ $tensor: slot }, []]);
      assert.throws(() => decodeBody({ bytes, frames: [] }), invalid);
    }
  });

  it('refuses records and every extension, which the library would build things from', () => {
    const records = new Packr({ useRecords: true }).pack([{ a: 1 }, { a: 2 }]);
    assert.throws(() => decodeValue(records), invalid);
    const rich = new Packr({ useRecords: false, moreTypes: true });
    for (const value of [new Set([1]), /x/, new Date(), new Error('x')]) {
      assert.throws(() => decodeValue(rich.pack(value)), invalid);
    }
  });

  it('refuses announced lengths that the bytes cannot hold, and deep nesting', () => {
    const hostile = [
      [0xdd, 0xff, 0xff, 0xff, 0xff],
      [0xdf, 0xff, 0xff, 0xff, 0xff],
      [0xc6, 0xff, 0xff, 0xff, 0xff],
      [0xdb, 0xff, 0xff, 0xff, 0xff, 0x41],
      [0xd9],
      [],
      [0x01, 0x02],
      new Array<number>(100_000).fill(0x91),
    ];
    for (const bytes of hostile) {
      assert.throws(() => decodeValue(Uint8Array.from(bytes)), invalid);
    }
  });

  it('answers any bytes with a value or WIRE_INVALID, never another error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        isRefused('WIRE_INVALID', () => decodeValue(bytes));
        isRefused('WIRE_INVALID', () => decodeBody({ bytes, frames: [] }));
      }),
      { numRuns: 2000 },
    );
  });

  it('answers any single corrupted byte of a packet with a value or WIRE_INVALID', () => {
    const packet = join(encodeValue({ kind: 'ask', id: 3 }), encodeBody({ x: zeros('f16', [3]) }));
    for (let at = 0; at < packet.header.length; at++) {
      for (const flip of [1, 0x80, 0xff]) {
        const header = packet.header.slice();
        header[at]! ^= flip;
        const { frames } = packet;
        isRefused('WIRE_INVALID', () => decodeBody(split({ header, frames }).body));
      }
    }
  });
});

describe('frame', () => {
  it('splits what it joined', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), fc.array(fc.uint8Array()), (a, b, frames) => {
        const { envelope, body } = split(join(a, { bytes: b, frames }));
        assert.deepEqual([[...envelope], [...body.bytes], body.frames], [[...a], [...b], frames]);
      }),
    );
  });

  it('lays the header out as drawn', () => {
    const { header } = join(Uint8Array.of(0xaa), { bytes: Uint8Array.of(0xbb, 0xcc), frames: [] });
    assert.deepEqual(
      [...header],
      [0x43, 0x58, 0x4d, 0x31, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0xaa, 0xbb, 0xcc],
    );
  });

  it('refuses headers whose lengths do not add up', () => {
    const { header } = join(Uint8Array.of(1, 2), { bytes: Uint8Array.of(3), frames: [] });
    const broken = (change: (bytes: Uint8Array) => Uint8Array): void => {
      const changed = change(header.slice());
      assert.throws(() => split({ header: changed, frames: [] }), invalid);
    };
    broken((bytes) => bytes.subarray(0, 10));
    broken((bytes) => bytes.subarray(0, -1));
    for (const at of [0, 3, 4, 8, 11, 12, 15]) {
      broken((bytes) => {
        bytes[at]! += 1;
        return bytes;
      });
    }
    assert.throws(() => split({ header, frames: [new Uint8Array(1)] }), invalid);
  });
});

describe('tensor codec', () => {
  it('takes a tensor of its dtype and rank and no other', () => {
    const codec = tensor('f32', ['B', 'T']);
    assert.ok(E.isRight(codec.decode(zeros('f32', [2, 3]))));
    assert.ok(E.isLeft(codec.decode(zeros('f32', [6]))));
    assert.ok(E.isLeft(codec.decode(zeros('i32', [2, 3]))));
    assert.ok(E.isLeft(codec.decode({ ...zeros('f32', [2, 3]), shape: [2, 4] })));
    assert.ok(E.isLeft(codec.decode({ ...zeros('f32', [2, 3]), more: 1 })));
    assert.equal(codec.name, 'f32 [B, T]');
  });

  it('agrees with the engine on the size of an element', () => {
    for (const dtype of allDtypes) {
      const made = zeros(dtype, [3]);
      assert.equal(made.data.byteLength, sizeOf(made.shape) * bytesPerElement(dtype));
    }
  });
});
