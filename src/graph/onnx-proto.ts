/** The parts of ONNX's file format that models need. */
import { encoderOf, type Messages } from '../protobuf.ts';
import { bytesOf } from '../tensor/dtype.ts';
import { onnxDTypes } from '../tensor/onnx-dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { ValueType } from './ir.ts';
import type { OnnxAttribute } from './ops/op.ts';

const attributeKinds = { float: 1, int: 2, text: 3, ints: 7 } as const;

/**
 * The ONNX messages that a model needs, by their field numbers.
 *
 * @see https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
const messages: Messages = {
  ModelProto: {
    irVersion: ['int64', 1],
    producerName: ['string', 2],
    graph: ['GraphProto', 7],
    opsetImport: ['OperatorSetIdProto', 8, 'repeated'],
  },
  OperatorSetIdProto: { domain: ['string', 1], version: ['int64', 2] },
  GraphProto: {
    node: ['NodeProto', 1, 'repeated'],
    name: ['string', 2],
    initializer: ['TensorProto', 5, 'repeated'],
    input: ['ValueInfoProto', 11, 'repeated'],
    output: ['ValueInfoProto', 12, 'repeated'],
  },
  NodeProto: {
    input: ['string', 1, 'repeated'],
    output: ['string', 2, 'repeated'],
    name: ['string', 3],
    opType: ['string', 4],
    attribute: ['AttributeProto', 5, 'repeated'],
    domain: ['string', 7],
  },
  AttributeProto: {
    name: ['string', 1],
    f: ['float', 2],
    i: ['int64', 3],
    s: ['bytes', 4],
    ints: ['int64', 8, 'repeated'],
    type: ['int32', 20],
  },
  TensorProto: {
    dims: ['int64', 1, 'repeated'],
    dataType: ['int32', 2],
    name: ['string', 8],
    rawData: ['bytes', 9],
  },
  ValueInfoProto: { name: ['string', 1], type: ['TypeProto', 2] },
  TypeProto: { tensorType: ['TensorTypeProto', 1] },
  TensorTypeProto: { elemType: ['int32', 1], shape: ['TensorShapeProto', 2] },
  TensorShapeProto: { dim: ['DimensionProto', 1, 'repeated'] },
  DimensionProto: { dimValue: ['int64', 1], dimParam: ['string', 2] },
};

/**
 * Bytes of a ModelProto, the message that a model file is.
 *
 * The encoder is made once: protobufjs writes and compiles the code of each message, which costs more than a small model.
 */
export const encodeModel = encoderOf(messages, 'ModelProto');

/** A TensorProto. */
export function tensorProto(name: string, tensor: Tensor): object {
  return {
    dims: tensor.shape,
    dataType: onnxDTypes[tensor.dtype],
    name,
    rawData: bytesOf(tensor.data).slice(),
  };
}

/** A ValueInfoProto: the name, dtype and shape of an input or output. */
export function valueInfo(name: string, { dtype, shape }: ValueType): object {
  const dim = shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType: onnxDTypes[dtype], shape: { dim } } } };
}

/** An AttributeProto. */
export function attributeProto(name: string, attribute: OnnxAttribute): object {
  if ('float' in attribute) return { name, type: attributeKinds.float, f: attribute.float };
  if ('int' in attribute) return { name, type: attributeKinds.int, i: attribute.int };
  if ('ints' in attribute) return { name, type: attributeKinds.ints, ints: attribute.ints };
  if ('text' in attribute) {
    return { name, type: attributeKinds.text, s: new TextEncoder().encode(attribute.text) };
  }
  return { name, type: attributeKinds.int, i: onnxDTypes[attribute.dtype] };
}
