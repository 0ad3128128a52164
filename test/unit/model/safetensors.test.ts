import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import fc from 'fast-check';
import { CxmindError } from '../../../src/errors.ts';
import { decodeF32, encodeF32 } from '../../../src/tensor/half.ts';
import { readSafetensors, writeSafetensors } from '../../../src/model/checkpoint/safetensors.ts';
import { tensorOf, type Tensor } from '../../../src/tensor/tensor.ts';
import { goldenPath } from '../../support/golden.ts';

describe('safetensors', () => {
  let scratch = '';
  let file = '';
  before(async () => {
    scratch = await mkdtemp(path.join(os.tmpdir(), 'cxmind-safetensors-'));
    file = path.join(scratch, 'x.safetensors');
  });
  after(() => rm(scratch, { recursive: true, force: true }));

  async function failure(header: string | object, dataBytes = 0): Promise<string> {
    const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    await writeFile(file, Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
    try {
      await readSafetensors(file);
    } catch (error) {
      assert.ok(error instanceof CxmindError);
      assert.equal(error.code, 'CHECKPOINT_INVALID');
      assert.ok(error.message.startsWith(file), error.message);
      return error.message.slice(file.length);
    }
    return assert.fail('read');
  }

  it('writes the bytes that the reference library wrote', async () => {
    const golden = goldenPath('micro-vl/model.safetensors');
    const tensors = [...(await readSafetensors(golden))].map(([name, tensor]) => ({
      name,
      tensor,
    }));
    await writeSafetensors(file, tensors);
    assert.ok((await readFile(file)).equals(await readFile(golden)));
  });

  it('gives back tensors of every dtype, of no elements and of no axes', async () => {
    const tensors: Record<string, Tensor> = {
      f32: tensorOf('f32', [2, 2], [1, -0, NaN, Infinity]),
      f16: tensorOf('f16', [2], [0.5, 65504]),
      bf16: tensorOf('bf16', [2], [0x3f80, 0xffff]),
      i32: tensorOf('i32', [1], [-7]),
      i64: tensorOf('i64', [1], [-(2n ** 60n)]),
      u8: tensorOf('u8', [3], [0, 128, 255]),
      bool: tensorOf('bool', [2], [0, 1]),
      empty: tensorOf('f32', [0, 3], []),
      scalar: tensorOf('f32', [], [4]),
    };
    const stored = Object.entries(tensors).map(([name, tensor]) => ({ name, tensor }));
    await writeSafetensors(file, stored, {});
    assert.deepEqual(Object.fromEntries(await readSafetensors(file)), tensors);
  });

  it('reads the data of a tensor once, since it may be computed then', async () => {
    let reads = 0;
    const tensor: Tensor = {
      ...{ dtype: 'f32', shape: [2] },
      get data() {
        reads++;
        return Float32Array.of(1, 2);
      },
    };
    for (const dtype of ['f32', 'bf16'] as const) {
      reads = 0;
      await writeSafetensors(file, [{ name: 'x', tensor, dtype }]);
      assert.equal(reads, 1, dtype);
    }
  });

  it('refuses to store what would lose more than precision', async () => {
    const tensor = tensorOf('i32', [1], [1]);
    await assert.rejects(writeSafetensors(file, [{ name: 'ids', tensor, dtype: 'f16' }]), {
      code: 'DTYPE_MISMATCH',
    });
  });

  const f32 = (begin: number, end: number, shape = [(end - begin) / 4]): object => ({
    dtype: 'F32',
    shape,
    data_offsets: [begin, end],
  });
  const rubbish: readonly [string, string | object, number, RegExp][] = [
    ['a header that is not JSON', '{nonsense', 0, /header is not JSON/],
    ['a header that is not an object', '[1]', 0, /not a JSON object/],
    ['an entry that is not an object', { a: 1 }, 0, /tensor a: its header entry/],
    ['an unknown dtype', { a: { ...f32(0, 4), dtype: 'F8_E4M3' } }, 4, /tensor a: dtype "F8_E4M3"/],
    [
      'a dtype named like a method',
      { a: { ...f32(0, 4), dtype: 'toString' } },
      4,
      /dtype "toString"/,
    ],
    ['a shape that is not a list', { a: { ...f32(0, 4), shape: 1 } }, 4, /tensor a: shape 1/],
    ['a negative size', { a: f32(0, 4, [-1]) }, 4, /tensor a: shape \[-1\]/],
    [
      'offsets that are not numbers',
      { a: { ...f32(0, 4), data_offsets: ['0', 4] } },
      4,
      /data_offsets/,
    ],
    ['offsets of another size', { a: f32(0, 4, [2]) }, 4, /hold 4 bytes, F32 \[2\] wants 8/],
    ['offsets that run backwards', { a: f32(8, 4, [1]) }, 8, /hold -4 bytes/],
    ['tensors that overlap', { a: f32(0, 8), b: f32(4, 12) }, 12, /tensor b: .* overlaps/],
    ['a gap', { a: f32(0, 4), b: f32(8, 12) }, 12, /tensor b: .* leaves a gap/],
    ['a tensor beyond the end', { a: f32(0, 4), b: f32(4, 12) }, 8, /tensor b: .*truncated/],
    ['bytes after the end', { a: f32(0, 4) }, 9, /5 bytes follow the last tensor/],
    ['metadata that is not text', { __metadata__: { a: 1 } }, 0, /__metadata__/],
  ];
  for (const [what, header, bytes, message] of rubbish) {
    it(`refuses ${what}`, async () => assert.match(await failure(header, bytes), message));
  }

  it('answers any bytes with a tensor or a CHECKPOINT_INVALID', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 64 }),
        fc.integer({ min: 0, max: 60 }),
        async (bytes, n) => {
          if (bytes.length >= 8) bytes.set([n, 0, 0, 0, 0, 0, 0, 0]);
          await writeFile(file, bytes);
          await readSafetensors(file).catch((error: unknown) => {
            assert.ok(error instanceof CxmindError && error.code === 'CHECKPOINT_INVALID');
          });
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('half precision', () => {
  for (const dtype of ['f16', 'bf16'] as const) {
    it(`gives every ${dtype} back bit for bit`, () => {
      const bits = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
      const values = new Float32Array(bits.length);
      const back = new Uint16Array(bits.length);
      decodeF32(dtype, bits, values);
      encodeF32(dtype, values, back);
      const exponent = dtype === 'f16' ? 0x7c00 : 0x7f80;
      for (const [i, bit] of bits.entries()) {
        const isNaN = (bit & exponent) === exponent && (bit & ~(exponent | 0x8000)) !== 0;
        if (isNaN && dtype === 'f16') assert.ok(Number.isNaN(values[i]));
        else assert.equal(back[i], bit);
      }
    });
  }

  it('rounds to the nearest bf16, ties to even, large values to infinity', () => {
    const cases: readonly [number, number][] = [
      [1 + 2 ** -9, 0x3f80],
      [1 + 2 ** -8, 0x3f80],
      [1 + 2 ** -8 + 2 ** -20, 0x3f81],
      [1 + 3 * 2 ** -8, 0x3f82],
      [-1 - 3 * 2 ** -8, 0xbf82],
      [3.4e38, 0x7f80],
      [-0, 0x8000],
      [2 ** -149, 0x0000],
      [NaN, 0x7fc0],
    ];
    const bits = new Uint16Array(cases.length);
    encodeF32(
      'bf16',
      Float32Array.from(cases, ([value]) => value),
      bits,
    );
    assert.deepEqual(
      [...bits],
      cases.map(([, expected]) => expected),
    );
  });
});
