import { differentiate } from '../../../src/graph/backward.ts';
import { evaluate } from '../../../src/graph/interpret.ts';
import { isFloat, type Graph, type Value } from '../../../src/graph/ir.ts';
import { arrayOf, type NdArray } from '../../../src/graph/ops/array.ts';
import { NO_ADAPTERS } from '../../../src/model/adapters/adapter.ts';
import { headGraph } from '../../../src/model/heads.ts';
import type { GraphForm } from '../../../src/model/graph-form.ts';
import { decoderLayerGraph } from '../../../src/model/decoder/layer.ts';
import { qwen25Vl } from '../../../src/model/qwen2-5-vl/architecture.ts';
import { blockGraph } from '../../../src/model/vision/tower.ts';
import {
  causalTrees,
  consecutive,
  segmentTensors,
  treeSize,
  wholeSegments,
  type Visibility,
} from '../../../src/model/segments.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import { sizeOf, zeros } from '../../../src/tensor/tensor.ts';
import { agreesWithTransformers } from '../../conformance/model.ts';
import { assertClose } from '../../support/assert-close.ts';
import { FarDevice } from '../../support/far-device.ts';
import { smallText, smallVision } from '../../support/small-sizes.ts';

agreesWithTransformers('a device with kernels', () => new FarDevice(true), {
  chosen: [0, 2],
  maxTokens: 3,
  atol: 1e-4,
});

type Arrays = Record<string, NdArray>;

const trees = [
  { prompt: 3, responses: [2, 1] },
  { prompt: 1, responses: [] },
];
const windows = [
  [6, 0, 5],
  [1, 2, 4, 3],
];
const sizes: Readonly<Record<string, number>> = { T: 7, P: 2, R: 5 };

const cases: readonly {
  readonly what: string;
  readonly graph: (form: GraphForm) => Graph;
  readonly segments?: readonly (readonly number[])[];
  readonly visible?: Visibility;
  readonly strips?: number;
}[] = [
  { what: 'head', graph: (form) => headGraph(smallText, 'f32', form) },
  {
    what: 'head with entropies',
    graph: (form) => headGraph(smallText, 'f32', form, { withEntropies: true }),
  },
  {
    what: 'head without some tokens',
    graph: (form) => headGraph(smallText, 'f32', form, { withEntropies: true, banned: [3, 0] }),
  },
  ...[
    (form: GraphForm) => decoderLayerGraph(smallText, NO_ADAPTERS, 'f32', form),
    (form: GraphForm) => decoderLayerGraph(smallText, NO_ADAPTERS, 'f32', form, 'last'),
  ].map((graph) => ({
    what: graph('composed').name,
    graph,
    segments: consecutive(trees.map(treeSize)),
    visible: causalTrees(trees),
    strips: 4,
  })),
  {
    what: 'vision-block',
    graph: (form) => blockGraph(qwen25Vl.tower!, smallVision, NO_ADAPTERS, 'f32', form),
    segments: windows,
    visible: wholeSegments(windows),
    strips: 1,
  },
];

function drawn({ name, dtype, shape }: Pick<Value, 'name' | 'dtype' | 'shape'>): NdArray {
  const rng = new Rng(keyOf('graph form', name));
  const dims = shape.map((dim) => (typeof dim === 'number' ? dim : sizes[dim]!));
  const next = (): number => (isFloat(dtype) ? rng.nextNormal() : rng.nextBelow(7));
  return { dtype, shape: dims, data: Float64Array.from({ length: sizeOf(dims) }, next) };
}

describe('a fused graph', () => {
  for (const { what, graph, segments = [], visible = causalTrees([]), strips = 1 } of cases) {
    it(`gives what a composed one gives, and its gradients: ${what}`, () => {
      const [composed, fused] = (['composed', 'fused'] as const).map((form): Arrays => {
        const layout = segmentTensors(form, segments, visible, strips, zeros);
        const given: Arrays = Object.fromEntries(
          Object.entries(layout).map(([name, tensor]) => [name, arrayOf(tensor)]),
        );
        const source = graph(form);
        const wrt = source.inputs.filter(({ name, dtype }) => isFloat(dtype) && !/\./.test(name));
        const names = wrt.map(({ name }) => name);
        const { forward, backward } = differentiate(source, { wrt: names, save: 'costly' });
        for (const input of [...forward.inputs, ...backward.inputs]) {
          if (!input.name.startsWith('saved.')) given[input.name] ??= drawn(input);
        }
        const outputs = evaluate(forward, given, 'none');
        const gradients = evaluate(backward, { ...given, ...outputs }, 'none');
        const results = source.outputs.map(({ name }) => [name, outputs[name]!] as const);
        return { ...Object.fromEntries(results), ...gradients };
      });
      for (const [name, { data }] of Object.entries(composed!)) {
        assertClose(fused![name]!.data, data, { rtol: 1e-9, atol: 1e-9 }, name);
      }
    });
  }
});
