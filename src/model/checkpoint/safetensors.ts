/**
 * Files in the safetensors format (https://huggingface.co/docs/safetensors): a JSON header that gives each tensor's
 * type and place, and the tensors' bytes. Every header is checked before a tensor is read.
 */
import { open, type FileHandle } from 'node:fs/promises';
import * as t from 'io-ts';
import { CxmindError, messageOf } from '../../errors.ts';
import { openToRead, writing } from '../../files.ts';
import { bytesOf, bytesPerElement, type DType } from '../../tensor/dtype.ts';
import { letGo } from '../../tensor/file-memory.ts';
import { floatsOf } from '../../tensor/numbers.ts';
import type { MakeShared } from '../../tensor/memory.ts';
import { slices } from '../../tensor/slices.ts';
import { sizeOf, zeros, type Tensor } from '../../tensor/tensor.ts';
import { decodeF32, encodeF32 } from '../../tensor/half.ts';

/** A tensor of a safetensors file: its type, and the place of its bytes. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly sizeBytes: number;
}

/** The checked header of a safetensors file; tensors in the order of their bytes. */
export interface SafetensorsHeader {
  readonly file: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly StoredTensor[];
}

/** A tensor to store; `dtype` is its dtype in the file, its own when left out. */
export interface TensorToStore {
  readonly name: string;
  readonly tensor: Tensor;
  readonly dtype?: DType;
}

const dtypes: Readonly<Record<string, DType>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  I32: 'i32',
  I64: 'i64',
  U8: 'u8',
  BOOL: 'bool',
};
const codes = Object.fromEntries(Object.entries(dtypes).map(([code, dtype]) => [dtype, code]));

const Metadata = t.record(t.string, t.string);

const maxHeaderBytes = 100_000_000;
const chunkBytes = 4 * 2 ** 20;

function invalid(file: string, message: string, tensor?: string): CxmindError {
  const where = tensor === undefined ? file : `${file}: tensor ${tensor}`;
  return new CxmindError('CHECKPOINT_INVALID', `${where}: ${message}`, {
    detail: { file, ...(tensor === undefined ? {} : { tensor }) },
  });
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function parseEntry(file: string, name: string, value: unknown, dataStart: number): StoredTensor {
  if (!t.UnknownRecord.is(value)) throw invalid(file, 'its header entry is not an object', name);
  const { dtype: code, shape, data_offsets: offsets } = value;
  const dtype = typeof code === 'string' && Object.hasOwn(dtypes, code) ? dtypes[code] : undefined;
  if (dtype === undefined) {
    const known = Object.keys(dtypes).join(', ');
    throw invalid(
      file,
      `dtype ${JSON.stringify(code)} is not supported; supported are ${known}`,
      name,
    );
  }
  if (!Array.isArray(shape) || !shape.every(isWhole)) {
    throw invalid(file, `shape ${JSON.stringify(shape)} is not a list of whole numbers`, name);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isWhole)) {
    throw invalid(file, `data_offsets ${JSON.stringify(offsets)} are not two whole numbers`, name);
  }
  const [begin, end] = offsets as [number, number];
  const sizeBytes = sizeOf(shape) * bytesPerElement(dtype);
  if (end - begin !== sizeBytes) {
    throw invalid(
      file,
      `data_offsets [${begin}, ${end}] hold ${end - begin} bytes, ${code as string} [${shape.join(', ')}] wants ${sizeBytes}`,
      name,
    );
  }
  return { name, dtype, shape, offset: dataStart + begin, sizeBytes };
}

/** Checks that tensors fill the file from the header to its end, without a gap or an overlap. */
function checkCoverage(
  file: string,
  tensors: readonly StoredTensor[],
  start: number,
  size: number,
) {
  let end = start;
  for (const { name, offset, sizeBytes } of tensors) {
    if (offset !== end) {
      const what = offset < end ? 'overlaps the tensor before it' : 'leaves a gap before it';
      throw invalid(file, `starts at byte ${offset} and ${what}, which ends at ${end}`, name);
    }
    end = offset + sizeBytes;
    if (end > size) {
      throw invalid(file, `ends at byte ${end}, the file has ${size} bytes (truncated?)`, name);
    }
  }
  if (end !== size) {
    throw invalid(file, `${size - end} bytes follow the last tensor, which ends at byte ${end}`);
  }
}

async function readExactly(
  handle: FileHandle,
  into: Uint8Array,
  position: number,
  file: string,
): Promise<void> {
  let done = 0;
  while (done < into.byteLength) {
    const { bytesRead } = await handle.read(into, done, into.byteLength - done, position + done);
    if (bytesRead === 0) throw invalid(file, `ends at byte ${position + done} (truncated?)`);
    done += bytesRead;
  }
}

async function readHeader(handle: FileHandle, file: string): Promise<SafetensorsHeader> {
  const { size } = await handle.stat();
  if (size < 8) throw invalid(file, `${size} bytes are too few for a safetensors file`);
  const prefix = new Uint8Array(8);
  await readExactly(handle, prefix, 0, file);
  const length = Number(new DataView(prefix.buffer).getBigUint64(0, true));
  if (length > maxHeaderBytes || length > size - 8) {
    throw invalid(
      file,
      `its header claims ${length} bytes, the file has ${size}: truncated, or not safetensors`,
    );
  }
  const bytes = new Uint8Array(length);
  await readExactly(handle, bytes, 8, file);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${file}: its header is not JSON: not safetensors`,
      {
        cause,
        detail: { file },
      },
    );
  }
  if (!t.UnknownRecord.is(header)) throw invalid(file, 'its header is not a JSON object');
  const { __metadata__: metadata = {}, ...entries } = header;
  if (!Metadata.is(metadata)) {
    throw invalid(file, 'its __metadata__ is not a map of strings');
  }
  const tensors = Object.entries(entries)
    .map(([name, value]) => parseEntry(file, name, value, 8 + length))
    .sort((a, b) => a.offset - b.offset || a.sizeBytes - b.sizeBytes);
  checkCoverage(file, tensors, 8 + length, size);
  return { file, metadata, tensors };
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await openToRead(file);
  } catch (cause) {
    throw new CxmindError('CHECKPOINT_INVALID', `${file} cannot be opened: ${messageOf(cause)}`, {
      cause,
      detail: { file },
    });
  }
}

/** A safetensors file open for reading. */
export class SafetensorsReader implements AsyncDisposable {
  readonly header: SafetensorsHeader;
  readonly #handle: FileHandle;

  private constructor(header: SafetensorsHeader, handle: FileHandle) {
    this.header = header;
    this.#handle = handle;
  }

  /**
   * Opens a file and checks its header in full before any tensor is read.
   *
   * @throws CHECKPOINT_INVALID naming file and tensor: not safetensors, truncated, an unknown dtype,
   *   offsets that overlap, leave gaps, or disagree with dtype and shape
   */
  static async open(file: string): Promise<SafetensorsReader> {
    const handle = await openFile(file);
    try {
      return new SafetensorsReader(await readHeader(handle, file), handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Reads an f32, f16 or bf16 tensor into one of f32, exactly, a few megabytes at a time. */
  async readF32(stored: StoredTensor, { data: into }: Tensor<'f32'>): Promise<void> {
    const { dtype, name, offset, sizeBytes } = stored;
    if (dtype === 'f32') {
      await this.#readBytes(stored, into);
      return;
    }
    if (dtype !== 'f16' && dtype !== 'bf16') {
      throw invalid(this.header.file, `dtype ${dtype} is not f32, f16 or bf16`, name);
    }
    const scratch = new Uint16Array(Math.min(chunkBytes, sizeBytes) / 2);
    for (const { start, end, length } of slices(sizeBytes / 2, scratch.length)) {
      const part = scratch.subarray(0, length);
      await readExactly(this.#handle, bytesOf(part), offset + 2 * start, this.header.file);
      const decoded = into.subarray(start, end);
      decodeF32(dtype, part, decoded);
      letGo(decoded);
    }
  }

  /** Reads a tensor as it is stored; `memory` as in `zeros`. */
  async read(stored: StoredTensor, memory?: MakeShared): Promise<Tensor> {
    const tensor = zeros(stored.dtype, stored.shape, memory);
    await this.#readBytes(stored, tensor.data);
    return tensor;
  }

  async #readBytes({ offset, sizeBytes }: StoredTensor, into: ArrayBufferView): Promise<void> {
    const bytes = bytesOf(into);
    for (const { start, end } of slices(sizeBytes, chunkBytes)) {
      const part = bytes.subarray(start, end);
      await readExactly(this.#handle, part, offset + start, this.header.file);
      letGo(part);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

/**
 * Reads every tensor of a safetensors file, by name; `memory` as in `zeros`.
 *
 * @throws CHECKPOINT_INVALID as `SafetensorsReader.open`
 */
export async function readSafetensors(
  file: string,
  memory?: MakeShared,
): Promise<Map<string, Tensor>> {
  await using reader = await SafetensorsReader.open(file);
  const tensors = new Map<string, Tensor>();
  for (const stored of reader.header.tensors)
    tensors.set(stored.name, await reader.read(stored, memory));
  return tensors;
}

async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    done += (await handle.write(bytes, done, bytes.byteLength - done)).bytesWritten;
  }
}

/** The bytes of a tensor in its dtype in the file, a few megabytes at a time. A part is valid until the next one. */
function* partsOf({ name, tensor, dtype = tensor.dtype }: TensorToStore): Generator<Uint8Array> {
  if (dtype === tensor.dtype) {
    const bytes = bytesOf(tensor.data);
    for (const { start, end } of slices(bytes.length, chunkBytes)) {
      const part = bytes.subarray(start, end);
      yield part;
      letGo(part);
    }
    return;
  }
  if (tensor.dtype !== 'f32' || (dtype !== 'f16' && dtype !== 'bf16')) {
    throw new CxmindError(
      'DTYPE_MISMATCH',
      `${name}: ${tensor.dtype} cannot be stored as ${dtype}`,
    );
  }
  const values = floatsOf(tensor);
  const scratch = new Uint16Array(Math.min(chunkBytes / 2, values.length));
  for (const { start, end, length } of slices(values.length, scratch.length)) {
    const part = values.subarray(start, end);
    encodeF32(dtype, part, scratch);
    letGo(part);
    yield bytesOf(scratch.subarray(0, length));
  }
}

/**
 * Writes a safetensors file, tensors in the order given, a few megabytes at a time.
 *
 * @throws IO_FAILED as `writing`
 */
export async function writeSafetensors(
  file: string,
  tensors: readonly TensorToStore[],
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Promise<void> {
  const header: Record<string, unknown> =
    Object.keys(metadata).length === 0 ? {} : { __metadata__: metadata };
  let end = 0;
  for (const { name, tensor, dtype = tensor.dtype } of tensors) {
    const begin = end;
    end += sizeOf(tensor.shape) * bytesPerElement(dtype);
    header[name] = { dtype: codes[dtype], shape: tensor.shape, data_offsets: [begin, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(json, 8);
  const write = async (): Promise<void> => {
    await using handle = await open(file, 'w');
    await writeFully(handle, bytes);
    for (const tensor of tensors) {
      for (const part of partsOf(tensor)) await writeFully(handle, part);
    }
  };
  await writing(file, write, bytes.length + end);
}
