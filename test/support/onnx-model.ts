import type { DType } from '../../src/tensor/dtype.ts';

/** An input or output: its dtype (f64 is one that cxmind has not) and its shape, where a string is a free dimension. */
export type End = readonly [dtype: DType | 'f64', shape: readonly (number | string)[]];

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string;
  /** Whole numbers and lists of them are ints, text is text. */
  readonly attributes?: Readonly<Record<string, number | string | readonly number[]>>;
}

/**
 * Bytes of an ONNX model, written by hand so that tests of the runtime rest on nothing but the format.
 *
 * @see onnx/onnx.proto for the field numbers
 */
export function onnxModel(
  inputs: Readonly<Record<string, End>>,
  outputs: Readonly<Record<string, End>>,
  nodes: readonly OnnxNode[],
): Uint8Array {
  const graph = [
    ...nodes.map((node) => field(1, nodeBytes(node))),
    field(2, text('test')),
    ...Object.entries(inputs).map((end) => field(11, endBytes(...end))),
    ...Object.entries(outputs).map((end) => field(12, endBytes(...end))),
  ];
  const domains = new Set(['', ...nodes.map((node) => node.domain ?? '')]);
  const opsets = [...domains].map((domain) =>
    field(8, [field(1, text(domain)), int(2, domain === '' ? 18 : 1)]),
  );
  return Buffer.concat([int(1, 9), field(7, graph), ...opsets]);
}

const elementTypes = {
  f32: 1,
  u8: 2,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  f64: 11,
  bf16: 16,
} as const;

function endBytes(name: string, [dtype, shape]: End): Buffer[] {
  const dims = shape.map((dim) =>
    field(1, typeof dim === 'number' ? int(1, dim) : field(2, text(dim))),
  );
  return [field(1, text(name)), field(2, field(1, [int(1, elementTypes[dtype]), field(2, dims)]))];
}

function nodeBytes(node: OnnxNode): Buffer[] {
  return [
    ...node.inputs.map((name) => field(1, text(name))),
    ...node.outputs.map((name) => field(2, text(name))),
    field(4, text(node.op)),
    ...Object.entries(node.attributes ?? {}).map(([name, value]) =>
      field(5, [field(1, text(name)), ...attributeValue(value)]),
    ),
    field(7, text(node.domain ?? '')),
  ];
}

function attributeValue(value: number | string | readonly number[]): Buffer[] {
  if (typeof value === 'number') return [int(3, value), int(20, 2)];
  if (typeof value === 'string') return [field(4, text(value)), int(20, 3)];
  return [...value.map((item) => int(8, item)), int(20, 7)];
}

function text(value: string): Buffer {
  return Buffer.from(value);
}

function int(number: number, value: number): Buffer {
  return Buffer.concat([varint(number << 3), varint(value)]);
}

function field(number: number, parts: Buffer | readonly Buffer[]): Buffer {
  const bytes = Buffer.isBuffer(parts) ? parts : Buffer.concat(parts);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}
