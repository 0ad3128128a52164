import { encodeModel } from '../../src/graph/onnx-proto.ts';
import type { DType } from '../../src/tensor/dtype.ts';

/** An input or output: its dtype (f64 is one that cxmind has not) and its shape, where a string is a free dimension. */
export type End = readonly [dtype: DType | 'f64', shape: readonly (number | string)[]];

/** A node of an ONNX graph. */
export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string;
  /** Integers and texts by name. */
  readonly attributes?: Readonly<Record<string, number | string>>;
}

/** Bytes of an ONNX model made of nodes, without a graph of cxmind. */
export function onnxModel(
  inputs: Readonly<Record<string, End>>,
  outputs: Readonly<Record<string, End>>,
  nodes: readonly OnnxNode[],
): Uint8Array {
  const domains = new Set(['', ...nodes.map(({ domain = '' }) => domain)]);
  return encodeModel({
    irVersion: 9,
    graph: {
      name: 'test',
      node: nodes.map(({ op, inputs, outputs, domain = '', attributes = {} }) => ({
        ...{ opType: op, input: inputs, output: outputs, domain },
        attribute: Object.entries(attributes).map(([name, value]) =>
          typeof value === 'number'
            ? { name, i: value, type: 2 }
            : { name, s: Buffer.from(value), type: 3 },
        ),
      })),
      input: Object.entries(inputs).map(endOf),
      output: Object.entries(outputs).map(endOf),
    },
    opsetImport: [...domains].map((domain) => ({ domain, version: domain === '' ? 18 : 1 })),
  });
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

function endOf([name, [dtype, shape]]: [string, End]): object {
  const dim = shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType: elementTypes[dtype], shape: { dim } } } };
}
