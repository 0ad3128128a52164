import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CxmindError } from '../../../src/errors.ts';
import {
  decodeModelConfig,
  ignoredOverrides,
  laidOver,
  readModelConfig,
} from '../../../src/model/checkpoint/config-file.ts';
import { inBothLayouts } from '../../../src/model/decoder/config-layouts.ts';
import { architectures } from '../../../src/model/families.ts';
import { goldenJson, goldenPath } from '../../support/golden.ts';

type Json = Record<string, unknown>;
const flat = goldenJson('micro-vl/config.json') as Json;
const nested = goldenJson('micro-vl/config.v5.json') as Json;

/** The published sizes of Qwen2.5-0.5B. */
const qwen2 = {
  architectures: ['Qwen2ForCausalLM'],
  hidden_act: 'silu',
  hidden_size: 896,
  intermediate_size: 4864,
  max_window_layers: 21,
  num_attention_heads: 14,
  num_hidden_layers: 24,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000,
  sliding_window: 32768,
  tie_word_embeddings: true,
  torch_dtype: 'bfloat16',
  use_sliding_window: false,
  vocab_size: 151936,
};

/** The published sizes of Qwen3-0.6B. */
const qwen3 = {
  architectures: ['Qwen3ForCausalLM'],
  attention_bias: false,
  head_dim: 128,
  hidden_act: 'silu',
  hidden_size: 1024,
  intermediate_size: 3072,
  max_position_embeddings: 40960,
  num_attention_heads: 16,
  num_hidden_layers: 28,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 1000000,
  tie_word_embeddings: true,
  use_sliding_window: false,
  vocab_size: 151936,
};

/** The published sizes of Llama 3.2 1B. */
const llama32 = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  head_dim: 64,
  hidden_act: 'silu',
  hidden_size: 2048,
  intermediate_size: 8192,
  max_position_embeddings: 131072,
  mlp_bias: false,
  num_attention_heads: 32,
  num_hidden_layers: 16,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-5,
  rope_scaling: {
    factor: 32,
    high_freq_factor: 4,
    low_freq_factor: 1,
    original_max_position_embeddings: 8192,
    rope_type: 'llama3',
  },
  rope_theta: 500000,
  tie_word_embeddings: true,
  vocab_size: 128256,
};

function failure(config: unknown): string {
  try {
    decodeModelConfig(config, 'dir/config.json');
  } catch (error) {
    assert.ok(error instanceof CxmindError);
    assert.equal(error.code, 'CHECKPOINT_INVALID');
    assert.ok(error.message.startsWith('dir/config.json: '), error.message);
    return error.message;
  }
  return assert.fail('decoded');
}

describe('decodeModelConfig', () => {
  it('reads the flat and the nested form of a model as the same sizes', () => {
    const model = decodeModelConfig(flat, 'config.json');
    assert.deepEqual(decodeModelConfig(nested, 'config.json'), model);
    assert.deepEqual(model, {
      architecture: 'Qwen2_5_VLForConditionalGeneration',
      text: {
        hiddenSize: 64,
        layers: 2,
        heads: 4,
        kvHeads: 2,
        headDim: 16,
        intermediateSize: 176,
        experts: null,
        vocabSize: 640,
        rmsNormEps: 1e-6,
        ropeTheta: 1e6,
        ropeScaling: null,
        mropeSection: [2, 3, 3],
        mropeLayout: 'sections',
        qkvBias: true,
        qkNorm: false,
        tieWordEmbeddings: false,
      },
      vision: {
        depth: 2,
        hiddenSize: 32,
        heads: 2,
        intermediateSize: 88,
        inChannels: 3,
        patchSize: 14,
        temporalPatchSize: 2,
        mergeSize: 2,
        windows: { size: 112, fullBlocks: [1] },
        activation: 'silu',
        positionGrid: null,
        deepstackBlocks: [],
        outHiddenSize: 64,
        tokensPerSecond: 2,
      },
      tokens: { imagePad: 630, videoPad: 631, visionStart: 627, visionEnd: 628 },
      torchDtype: 'float32',
    });
  });

  it('reads a text-only model', () => {
    const { text, vision, tokens, torchDtype } = decodeModelConfig(qwen2, 'config.json');
    assert.equal(text.headDim, 64);
    assert.equal(text.ropeTheta, 1e6);
    assert.equal(text.mropeSection, null);
    assert.equal(text.tieWordEmbeddings, true);
    assert.deepEqual([vision, tokens, torchDtype], [null, null, 'bfloat16']);
  });

  it('reads the published sizes of Qwen3-0.6B', () => {
    const { text } = decodeModelConfig(qwen3, 'config.json');
    assert.deepEqual([text.headDim, text.heads, text.kvHeads], [128, 16, 8]);
    assert.deepEqual([text.qkNorm, text.qkvBias, text.ropeScaling], [true, false, null]);
    assert.match(
      failure({ ...qwen3, attention_bias: true }),
      /attention_bias true is not supported/,
    );
  });

  it('reads the published sizes of Llama 3.2 1B, and its scaling of rotary frequencies', () => {
    const { text } = decodeModelConfig(llama32, 'config.json');
    assert.deepEqual([text.headDim, text.qkNorm, text.qkvBias], [64, false, false]);
    assert.deepEqual(text.ropeScaling, {
      ...{ type: 'llama3', factor: 32, originalContext: 8192 },
      ...{ lowFreqFactor: 1, highFreqFactor: 4 },
    });
    assert.match(failure({ ...llama32, mlp_bias: true }), /mlp_bias true is not supported/);
  });

  describe('of Qwen3-VL', () => {
    const model = goldenJson('families/qwen3-vl/config.json') as Json;
    const tower = model['vision_config'] as Json;
    const withTower = (change: Json): Json => ({
      ...model,
      vision_config: { ...tower, ...change },
    });

    it('has the sizes of transformers where the file leaves them out', () => {
      const bare = withTower({ depth: undefined, num_position_embeddings: undefined });
      const { vision } = decodeModelConfig(JSON.parse(JSON.stringify(bare)), 'config.json');
      assert.deepEqual([vision?.depth, vision?.positionGrid], [27, 48]);
    });

    const wrong: readonly [string, Json, RegExp][] = [
      ['positions on no square', { num_position_embeddings: 24 }, /24 is not the square/],
      ['blocks that are not there', { deepstack_visual_indexes: [0, 9] }, /not ascending numbers/],
      ['blocks in another order', { deepstack_visual_indexes: [1, 0] }, /not ascending numbers/],
      [
        'more blocks than the decoder has layers for',
        { depth: 4, deepstack_visual_indexes: [0, 1, 2] },
        /has 3 blocks, for which num_hidden_layers 3 is too few/,
      ],
      ['another activation', { hidden_act: 'gelu' }, /vision_config\.hidden_act "gelu"/],
    ];
    for (const [what, change, message] of wrong) {
      it(`refuses ${what}`, () => assert.match(failure(withTower(change)), message));
    }
  });

  it('names an unknown architecture and the supported ones', () => {
    assert.equal(
      failure({ ...flat, architectures: ['GPT2LMHeadModel'] }),
      'dir/config.json: architectures: ["GPT2LMHeadModel"] is not supported; supported are ' +
        architectures.map(({ name }) => name).join(', '),
    );
    assert.match(failure({}), /architectures: expected Array<string>, got nothing/);
    assert.match(failure([]), /architectures/);
  });

  it('says of a mixture of experts what to take instead', () => {
    const names = { architectures: ['MixtralForCausalLM'] };
    const message = failure({ ...flat, ...names, num_local_experts: 8 });
    assert.match(
      message,
      /^dir\/config\.json: num_local_experts 8: MixtralForCausalLM is a mixture of experts that is not supported; take another model \(.*Qwen3MoeForCausalLM.*\), or ask this one from a server/,
    );
    const text = { ...(nested['text_config'] as Json), num_experts: 128 };
    assert.match(
      failure({ ...nested, ...names, text_config: text }),
      /: text_config\.num_experts 128: /,
    );
    assert.match(
      failure({ ...flat, num_experts: 128 }),
      /: num_experts 128 is not supported by this architecture$/,
    );
  });

  it('reads the experts of a mixture, by the names of transformers 4 and 5', () => {
    const moe = goldenJson('families/qwen3-moe/config.json') as Json;
    const { num_local_experts: count, ...others } = moe;
    const ofVersion4 = { ...others, num_experts: count };
    const expertsOf = (config: Json) => decodeModelConfig(config, 'config.json').text.experts;
    const experts = {
      isStacked: false,
      count: 5,
      perToken: 2,
      intermediateSize: 12,
      isRenormed: true,
      denseLayers: [0],
    };
    assert.deepEqual(expertsOf(moe), experts);
    assert.deepEqual(expertsOf(ofVersion4), experts);
    const other = { ...moe, mlp_only_layers: [1], decoder_sparse_step: 2, num_hidden_layers: 5 };
    assert.deepEqual(expertsOf({ ...other, norm_topk_prob: false }), {
      ...experts,
      isRenormed: false,
      denseLayers: [0, 1, 2, 4],
    });
    assert.equal(expertsOf({ ...moe, mlp_only_layers: [0, 1, 2] }), null);
    assert.match(
      failure({ ...moe, num_experts_per_tok: 6 }),
      /: num_experts_per_tok 6 is more than num_experts 5$/,
    );
    const written = inBothLayouts(moe, decodeModelConfig(moe, 'config.json'));
    assert.deepEqual([written['num_experts'], written['num_local_experts']], [5, 5]);
  });

  it('names every field that is missing or mistyped at once', () => {
    const broken: Json = { ...flat, hidden_size: '64', vocab_size: 0 };
    delete broken['num_hidden_layers'];
    const message = failure(broken);
    assert.match(message, /hidden_size: expected a whole number from 1 to 1048576, got "64"/);
    assert.match(message, /vocab_size: expected a whole number from 1 to 16777216, got 0/);
    assert.match(message, /num_hidden_layers: expected a whole number from 1 to 1024, got nothing/);
    const text = { ...(nested['text_config'] as Json), intermediate_size: 1.5 };
    assert.match(failure({ ...nested, text_config: text }), /text_config\.intermediate_size: /);
    const vision = { ...(flat['vision_config'] as Json), depth: null };
    assert.match(failure({ ...flat, vision_config: vision }), /vision_config\.depth: .* got null/);
  });

  it('names any size that no model has, before anything is made of it', () => {
    const sizes = (config: Json, prefix = ''): string[] =>
      Object.keys(config)
        .filter((key) => /^(num_.*|depth|patch_size|(hidden|intermediate|vocab)_size)$/.test(key))
        .map((key) => prefix + key);
    const vision = flat['vision_config'] as Json;
    fc.assert(
      fc.property(
        fc.constantFrom(...sizes(flat), ...sizes(vision, 'vision_config.')),
        fc.integer({ min: 2 ** 24 + 1, max: Number.MAX_SAFE_INTEGER }),
        (path, value) => {
          const key = path.replace('vision_config.', '');
          const changed =
            key === path
              ? { ...flat, [key]: value }
              : { ...flat, vision_config: { ...vision, [key]: value } };
          assert.ok(failure(changed).includes(`${path}: expected a whole number from 1 to `));
        },
      ),
    );
  });

  const unsupported: readonly [string, Json, RegExp][] = [
    ['another activation', { hidden_act: 'gelu' }, /hidden_act "gelu" is not supported/],
    [
      'sliding windows that are used',
      { use_sliding_window: true, max_window_layers: 1 },
      /sliding-window attention \(use_sliding_window, 1 layers\) is not supported/,
    ],
    [
      'another rope type',
      { rope_scaling: { type: 'longrope', factor: 4, mrope_section: [2, 3, 3] } },
      /rope type "longrope" is not supported, only "default", "mrope", "llama3", "yarn"/,
    ],
    [
      'a rope scaling without its factor',
      { rope_scaling: { type: 'yarn', mrope_section: [2, 3, 3] } },
      /rope type "yarn" wants factor/,
    ],
    [
      'a rope scaling without the length of its first context',
      {
        max_position_embeddings: null,
        rope_scaling: { type: 'yarn', factor: 4, mrope_section: [2, 3, 3] },
      },
      /rope type "yarn" wants original_max_position_embeddings or max_position_embeddings/,
    ],
    [
      'bounds of a rope scaling in the wrong order',
      {
        rope_scaling: {
          ...{ type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 1 },
          mrope_section: [2, 3, 3],
        },
      },
      /low_freq_factor 4 is not below high_freq_factor 1/,
    ],
    [
      "another family's order of rotary frequencies",
      { rope_scaling: { type: 'mrope', mrope_section: [2, 3, 3], mrope_interleaved: true } },
      /mrope_interleaved true is not supported/,
    ],
    [
      'a rope section of another size',
      { rope_scaling: { type: 'mrope', mrope_section: [2, 3, 4] } },
      /mrope_section must be 3 numbers that sum to half the head size, 8; got \[2,3,4\]/,
    ],
    ['rotary positions of a part of a head', { partial_rotary_factor: 0.5 }, /factor 0\.5 is not/],
    ['attention to what follows', { is_causal: false }, /is_causal false is not supported/],
    ['dropout', { attention_dropout: 0.1 }, /attention_dropout 0\.1 is not supported, only 0/],
    ['quantized weights', { quantization_config: {} }, /quantization_config is not supported/],
    [
      'heads of another size',
      { head_dim: 32, rope_scaling: { mrope_section: [4, 6, 6] } },
      /head_dim 32/,
    ],
    [
      'other rotary positions of patches',
      {
        vision_config: { ...(flat['vision_config'] as Json), rope_parameters: { rope_theta: 500 } },
      },
      /vision_config\.rope_parameters of type "axial" and theta 500 are not supported/,
    ],
    ['heads that do not divide', { num_key_value_heads: 3 }, /4 is not a multiple of .* 3/],
    ['a head size that is no number', { num_attention_heads: 6 }, /head size 10\.6/],
    ['tokens outside the vocabulary', { image_token_id: 640 }, /imagePad id 640 is not below/],
  ];
  for (const [what, change, message] of unsupported) {
    it(`refuses ${what}`, () => assert.match(failure({ ...flat, ...change }), message));
  }

  it("knows a critic by a policy's name and by a value model's, a policy by its own alone", () => {
    const value = { ...qwen2, architectures: ['Qwen2ForTokenClassification'] };
    const model = decodeModelConfig(qwen2, 'config.json');
    assert.deepEqual(decodeModelConfig(qwen2, 'config.json', 'critic'), model);
    assert.deepEqual(decodeModelConfig(value, 'config.json', 'critic'), model);
    assert.match(failure(value), /"Qwen2ForTokenClassification".* is not supported/);
  });

  it('accepts sliding-window settings that reach no layer', () => {
    const config = { ...flat, use_sliding_window: true, max_window_layers: 2 };
    assert.equal(decodeModelConfig(config, 'config.json').text.layers, 2);
  });

  describe('with keys laid over it', () => {
    const over = (value: Json, overrides: Json): Json => laidOver(value, overrides);

    it('takes them, inside sections too', () => {
      const changed = over(flat, { rope_theta: 5e5, vision_config: { window_size: 56 } });
      const { text, vision } = decodeModelConfig(changed, 'config.json');
      assert.equal(text.ropeTheta, 5e5);
      assert.equal(vision?.windows?.size, 56);
      assert.equal(vision.depth, 2);
      assert.equal(flat['rope_theta'], 1e6);
    });

    it('refuses those that do not exist, with the nearest one', async () => {
      const read = (overrides: Json) => readModelConfig(goldenPath('micro-vl'), overrides);
      await assert.rejects(read({ rope_teta: 1, vision_config: { windowsize: 3 } }), {
        code: 'CONFIG_INVALID',
        message:
          "worker.actor.model.override_config.rope_teta: the model's config has no such key, nearest: rope_theta\n" +
          "worker.actor.model.override_config.vision_config.windowsize: the model's config has no such key, " +
          'nearest: vision_config.window_size',
      });
      await assert.rejects(read({ num_hidden_layers: 'two' }), {
        code: 'CHECKPOINT_INVALID',
        message: /config\.json with override_config: num_hidden_layers: expected .*, got "two"/,
      });
    });

    it('tells which of them change nothing here', () => {
      const overrides = { use_cache: false, initializer_range: 0.1, rope_theta: 5e5 };
      const model = decodeModelConfig(flat, 'config.json');
      assert.deepEqual(ignoredOverrides(model, overrides), ['use_cache', 'initializer_range']);
      assert.deepEqual(ignoredOverrides(model, overrides, ['initializer_range']), ['use_cache']);
    });
  });
});
