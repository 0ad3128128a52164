import assert from 'node:assert/strict';
import type { Graph } from '../../../src/graph/ir.ts';
import { NO_ADAPTERS } from '../../../src/model/adapters/adapter.ts';
import { valueNameOf } from '../../../src/model/architecture.ts';
import { decodeModelConfig } from '../../../src/model/checkpoint/config-file.ts';
import { architectureOf, architectures } from '../../../src/model/families.ts';
import { decoderLayers } from '../../../src/model/decoder-layers.ts';
import { decodeStepGraph } from '../../../src/model/decoder/decode-step.ts';
import { decodeAttendGraph, decodeProjectGraph } from '../../../src/model/decoder/decode.ts';
import { decoderLayerGraph } from '../../../src/model/decoder/layer.ts';
import { pagedStepGraph } from '../../../src/model/decoder/paged-step.ts';
import { headGraph, valueHeadGraph } from '../../../src/model/heads.ts';
import { moduleNames, type Module } from '../../../src/model/weights/modules.ts';
import { parameterGroups, visionLength } from '../../../src/model/parameters.ts';
import { patchEmbedGraph } from '../../../src/model/vision/patch-embed.ts';
import { blockGraph, mergerGraph } from '../../../src/model/vision/tower.ts';
import { goldenJson } from '../../support/golden.ts';

type Shapes = Record<string, readonly number[]>;

/** The shapes in which a block's parameters reach its graph: stacked along their first axis. */
function given({ inputs }: Module): Shapes {
  return Object.fromEntries(
    Object.entries(inputs).map(([input, { parameters, shape }]) => {
      const [first, ...rest] = parameters[0]!.shape;
      const rows = parameters.slice(1).reduce((sum, next) => sum + next.shape[0]!, first!);
      return [input, shape ?? [rows, ...rest]];
    }),
  );
}

/** The shapes of a graph's inputs that do not depend on a batch, segments and rotary tables left out. */
function taken({ inputs }: Graph): Shapes {
  const fixed = inputs.filter(
    ({ shape }) => shape.length > 0 && shape.every((dim) => typeof dim === 'number'),
  );
  return Object.fromEntries(fixed.map(({ name, shape }) => [name, shape as readonly number[]]));
}

describe('a model family', () => {
  for (const name of [
    ...['micro-vl', 'micro-text'],
    ...['qwen3', 'qwen3-moe', 'llama3', 'qwen2-vl', 'qwen3-vl', 'qwen3-vl-moe'].map(
      (family) => `families/${family}`,
    ),
  ]) {
    describe(`of ${name}`, () => {
      const config = decodeModelConfig(goldenJson(`${name}/config.json`), 'config.json');
      const { text, vision } = config;
      const { tower, weights } = architectureOf(config);
      const policy = weights.modules(config, 'policy');
      const value = weights.modules(config, 'value');

      it('gives every graph of its decoder the parameters that it takes', () => {
        for (const { name, config: own } of decoderLayers(text)) {
          const layer = policy.get(name)!;
          for (const kind of ['network', 'prefill', 'last'] as const) {
            const graph = decoderLayerGraph(own, NO_ADAPTERS, 'f32', 'composed', kind);
            assert.deepEqual(taken(graph), given(layer));
          }
          assert.deepEqual(taken(decodeStepGraph(own, 8)), given(layer));
          // Rows come normed to a step, and go on normed.
          const { inputNorm, ...others } = given(layer);
          const next = { ...others, nextNorm: inputNorm };
          assert.deepEqual(taken(pagedStepGraph(own, 16, false)), next);
          assert.deepEqual(taken(pagedStepGraph(own, 16, true)), others);
          const parts = [decodeProjectGraph(own, 'rows'), decodeAttendGraph(own, 'rows')];
          assert.deepEqual(Object.assign({}, ...parts.map(taken)), given(layer));
        }
        assert.deepEqual(taken(headGraph(text)), given(policy.get('head')!));
        assert.deepEqual(taken(valueHeadGraph(text)), given(value.get('head')!));
      });

      it('gives every graph of its vision tower the parameters that it takes', () => {
        if (vision === null || tower === null) return;
        assert.deepEqual(
          taken(patchEmbedGraph(vision)),
          given(policy.get(moduleNames.patchEmbed)!),
        );
        for (let i = 0; i < vision.depth; i++) {
          const block = policy.get(moduleNames.visionBlock(i))!;
          assert.deepEqual(taken(blockGraph(tower, vision)), given(block));
        }
        assert.deepEqual(taken(mergerGraph(tower, vision)), given(policy.get(moduleNames.merger)!));
      });

      it('has products of weights that its blocks have', () => {
        for (const { prefix, products, inputs } of policy.values()) {
          const weightsOf = Object.values(inputs).map(({ parameters }) => parameters);
          for (const { inner, modules } of products) {
            const wanted = modules.map(({ name, out }) => ({
              name: `${prefix}.${name}.weight`,
              shape: [out, inner],
            }));
            assert.ok(
              weightsOf.some((parameters) => JSON.stringify(parameters) === JSON.stringify(wanted)),
              JSON.stringify(wanted),
            );
          }
        }
      });

      it('names every parameter once, and knows it by the name that transformers 5 gives it', () => {
        const names = parameterGroups(config).flatMap((group) => group.map((one) => one.name));
        assert.equal(new Set(names).size, names.length);
        for (const one of names) {
          assert.equal(weights.ofStored(weights.inTransformers(one), config), one);
        }
        assert.equal(visionLength(config) > 0, vision !== null);
      });
    });
  }

  it('has names of its own', () => {
    const names = architectures.flatMap((one) => [one.name, valueNameOf(one)]);
    assert.equal(new Set(names).size, names.length);
  });
});
