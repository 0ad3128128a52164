import assert from 'node:assert/strict';
import { differentiate } from '../../../src/graph/backward.ts';
import { checkGraph } from '../../../src/graph/check.ts';
import { encode } from '../../../src/graph/encode.ts';
import { evaluate } from '../../../src/graph/interpret.ts';
import { isFloat, type Graph, type Value } from '../../../src/graph/ir.ts';
import { arrayOf, type NdArray } from '../../../src/graph/ops/array.ts';
import { cpu, lower } from '../../../src/graph/target.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../../../src/model/adapters/adapter.ts';
import { distributionGraph, headGraph, valueHeadGraph } from '../../../src/model/heads.ts';
import { decoderLayerGraph } from '../../../src/model/decoder/layer.ts';
import { qwen25Vl } from '../../../src/model/qwen2-5-vl/architecture.ts';
import { patchEmbedGraph } from '../../../src/model/vision/patch-embed.ts';
import { blockGraph, mergerGraph } from '../../../src/model/vision/tower.ts';
import {
  causalTrees,
  CAUSAL_STRIPS,
  consecutive,
  segmentTensors,
  wholeSegments,
} from '../../../src/model/segments.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import { nearestIn, type FloatDType } from '../../../src/tensor/dtype.ts';
import { sizeOf, tensorOf, zeros } from '../../../src/tensor/tensor.ts';
import { unitRoundoff } from '../../support/rounding-error.ts';
import { runSession } from '../../support/run-session.ts';
import { smallText, smallVision } from '../../support/small-sizes.ts';

type Arrays = Record<string, NdArray>;

const text = { ...smallText, hiddenSize: 32, headDim: 8, intermediateSize: 48, vocabSize: 40 };
const vision = {
  ...smallVision,
  ...{ hiddenSize: 16, heads: 2, intermediateSize: 24, outHiddenSize: 32 },
};
const adapters = (...modules: string[]): GraphAdapters => ({ rank: 4, scale: 2, modules });
const lora = adapters('self_attn.q_proj', 'self_attn.v_proj', 'mlp.down_proj');

interface BlockCase {
  readonly what: string;
  readonly graph: (dtype: FloatDType) => Graph;
  /** Segment inputs, where the block attends. */
  readonly segments?: Arrays;
}

const named = (tensors: ReturnType<typeof segmentTensors>): Arrays =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, arrayOf(tensor)]));
const trees = [
  { prompt: 3, responses: [2, 2] },
  { prompt: 1, responses: [] },
];
const causal = named(
  segmentTensors('composed', consecutive([7, 1]), causalTrees(trees), CAUSAL_STRIPS, zeros),
);
const fused = named(
  segmentTensors('fused', consecutive([7, 1]), causalTrees(trees), CAUSAL_STRIPS, zeros),
);
const windows = consecutive([5, 3]);
const whole = named(segmentTensors('composed', windows, wholeSegments(windows), 1, zeros));

const trained: readonly BlockCase[] = [
  {
    what: 'decoder layer',
    graph: (d) => decoderLayerGraph(text, NO_ADAPTERS, d),
    segments: causal,
  },
  {
    what: 'decoder layer with adapters',
    graph: (d) => decoderLayerGraph(text, lora, d),
    segments: causal,
  },
  {
    what: 'fused decoder layer',
    graph: (d) => decoderLayerGraph(text, lora, d, 'fused'),
    segments: fused,
  },
  { what: 'head', graph: (d) => headGraph(text, d) },
  { what: 'fused head', graph: (d) => headGraph(text, d, 'fused') },
  {
    what: 'head with entropies',
    graph: (d) => headGraph(text, d, 'composed', { withEntropies: true }),
  },
  {
    what: 'fused head with entropies',
    graph: (d) => headGraph(text, d, 'fused', { withEntropies: true }),
  },
  { what: 'value head', graph: (d) => valueHeadGraph(text, d) },
  { what: 'patch embedding', graph: (d) => patchEmbedGraph(vision, d) },
  {
    what: 'vision block',
    graph: (d) => blockGraph(qwen25Vl.tower!, vision, adapters('attn.qkv'), d),
    segments: whole,
  },
  { what: 'patch merger', graph: (d) => mergerGraph(qwen25Vl.tower!, vision, NO_ADAPTERS, d) },
];
const forwardOnly: readonly BlockCase[] = [
  {
    what: 'prefill layer',
    graph: (d) => decoderLayerGraph(text, lora, d, 'composed', 'prefill'),
    segments: causal,
  },
  {
    what: 'last prefill layer',
    graph: (d) => decoderLayerGraph(text, NO_ADAPTERS, d, 'composed', 'last'),
    segments: causal,
  },
  { what: 'distribution', graph: (d) => distributionGraph(text, d) },
];

const symbolSizes: Readonly<Record<string, number>> = { T: 8, R: 5, P: 2, B: 3 };

/** Inputs of a block: activations of size one, weights that keep them so, numbers that the dtype has. */
function drawn(graph: Graph, segments: Arrays, dtype: FloatDType): Arrays {
  const rng = new Rng(keyOf('half blocks', graph.name));
  const draw = ({ name, dtype: own, shape: dims }: Value): NdArray => {
    const shape = dims.map((dim) => (typeof dim === 'number' ? dim : symbolSizes[dim]!));
    const fanIn = /eight|lora/.test(name) ? shape.at(-1)! : 1;
    const numberAt = (i: number): number => {
      if (own === 'i64')
        return rng.nextBelow(name === 'lastRows' ? symbolSizes['T']! : text.vocabSize);
      if (name === 'inverseTemperature') return 0.8;
      if (name.startsWith('rotary')) return (name.endsWith('cos') ? Math.cos : Math.sin)(i);
      if (/norm/i.test(name)) return 1 + rng.nextNormal() / 4;
      return rng.nextNormal() / Math.sqrt(fanIn);
    };
    const data = Float64Array.from({ length: sizeOf(shape) }, (_, i) => numberAt(i));
    const isHalf = own === dtype;
    return { dtype: own, shape, data: isHalf ? data.map((x) => nearestIn(dtype, x)) : data };
  };
  return Object.fromEntries(
    graph.inputs.map((input) => [input.name, segments[input.name] ?? draw(input)]),
  );
}

/** The same numbers under the dtypes of a graph's inputs. */
const under = (graph: Graph, arrays: Arrays): Arrays =>
  Object.fromEntries(
    graph.inputs.map(({ name, dtype }) => [name, { ...arrays[name]!, dtype }] as const),
  );

/** Rounded values on the longest way through a graph. */
function depthOf(graph: Graph): number {
  const depths = new Map<number, number>();
  for (const { inputs, outputs } of graph.nodes) {
    const depth = 1 + inputs.reduce((most, { id }) => Math.max(most, depths.get(id) ?? 0), 0);
    for (const { id } of outputs) depths.set(id, depth);
  }
  return [...depths.values()].reduce((a, b) => Math.max(a, b), 1);
}

/**
 * Fails unless results are as near to others, as vectors, as roundings that are independent of each other leave them:
 * their errors grow with the root of their number.
 *
 * @see Higham and Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41(5), 2019
 */
function assertNear(
  actual: Arrays,
  expected: Arrays,
  dtype: FloatDType,
  depth: number,
  what: string,
): void {
  for (const [name, { data }] of Object.entries(actual)) {
    const wanted = expected[name]!.data;
    const norm = (numbers: Float64Array): number => Math.hypot(...numbers);
    const error = norm(data.map((x, i) => x - wanted[i]!)) / norm(wanted);
    const bound = 2 * Math.sqrt(depth) * unitRoundoff[dtype];
    assert.ok(error <= bound, `${what} ${name}: off by ${error} of its norm, ${bound} allowed`);
  }
}

describe('blocks in half precision', () => {
  let runtime: Runtime;
  before(() => (runtime = new Runtime()));
  after(() => runtime[Symbol.dispose]());

  const computed = (graph: Graph, arrays: Arrays): Arrays => {
    checkGraph(graph);
    checkGraph(lower(graph, cpu));
    using session = runtime.compile(encode(graph), { name: graph.name });
    const tensors = Object.entries(under(graph, arrays)).map(
      ([name, { dtype, shape, data }]) => [name, tensorOf(dtype, shape, data)] as const,
    );
    const outputs = Object.entries(runSession(session, Object.fromEntries(tensors)));
    return Object.fromEntries(outputs.map(([name, tensor]) => [name, arrayOf(tensor)]));
  };
  const plain = (graph: Graph, arrays: Arrays): Arrays =>
    evaluate(graph, under(graph, arrays), 'none');
  const rounded = (graph: Graph, arrays: Arrays): Arrays => evaluate(graph, under(graph, arrays));

  for (const dtype of ['bf16', 'f16'] as const) {
    for (const { what, graph, segments = {} } of [...trained, ...forwardOnly]) {
      it(`${what}: ${dtype} is near f32, and near the interpreter`, () => {
        const half = graph(dtype);
        const inputs = drawn(half, segments, dtype);
        const outputs = computed(half, inputs);
        assertNear(outputs, plain(graph('f32'), inputs), dtype, depthOf(half), what);
        assertNear(outputs, rounded(half, inputs), dtype, depthOf(half), what);
      });
    }

    for (const { what, graph, segments = {} } of trained) {
      it(`${what}: gradients of ${dtype} are near f32's, and near the interpreter's`, () => {
        const half = graph(dtype);
        const inputs = drawn(half, segments, dtype);
        const ofDType = half.inputs
          .filter((input) => input.dtype === dtype)
          .map(({ name }) => name);
        const parameters = ofDType.filter((name) => name !== 'hidden');
        const options = { wrt: ofDType, accumulate: parameters, save: 'costly' } as const;
        const pair = differentiate(half, options);
        const single = differentiate(graph('f32'), options);
        const rng = new Rng(keyOf('cotangents', what));
        const given: Arrays = { ...inputs };
        for (const input of pair.backward.inputs) {
          if (!/^(grad|accum)\./.test(input.name) || !isFloat(input.dtype)) continue;
          const { dtype: own } = input;
          const isTotal = input.name.startsWith('accum.');
          const dims = isTotal ? inputs[input.name.slice('accum.'.length)]!.shape : input.shape;
          const shape = dims.map((dim) =>
            typeof dim === 'number' ? dim : (symbolSizes[dim] ?? 2),
          );
          const draw = (): number => (isTotal ? 0 : nearestIn(own, rng.nextNormal()));
          given[input.name] = {
            dtype: own,
            shape,
            data: Float64Array.from({ length: sizeOf(shape) }, draw),
          };
        }
        const backwardOf = (by: typeof computed, { forward, backward }: typeof pair): Arrays =>
          by(backward, { ...given, ...by(forward, inputs) });
        const gradients = backwardOf(computed, pair);
        const depth = depthOf(pair.forward) + depthOf(pair.backward);
        for (const { name, value } of pair.backward.outputs) {
          assert.equal(value.dtype, name === 'grad.hidden' ? dtype : 'f32', name);
        }
        assertNear(gradients, backwardOf(plain, single), dtype, depth, what);
        assertNear(gradients, backwardOf(rounded, pair), dtype, depth, what);
      });
    }
  }
});
