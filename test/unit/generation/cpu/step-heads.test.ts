import assert from 'node:assert/strict';
import { StepHeads } from '../../../../src/generation/cpu/step-heads.ts';
import { decodeModelConfig } from '../../../../src/model/checkpoint/config-file.ts';
import { tensorOf } from '../../../../src/tensor/tensor.ts';
import { assertClose } from '../../../support/assert-close.ts';

const { text } = decodeModelConfig(
  {
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    hidden_act: 'silu',
    hidden_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    intermediate_size: 8,
    vocab_size: 8,
    max_position_embeddings: 8,
    rms_norm_eps: 1e-6,
    rope_theta: 1e4,
    tie_word_embeddings: false,
    use_sliding_window: false,
  },
  'test',
);
const QUARTER = Math.PI / 2;

/** Heads of two features pairs; at position 1 the first pair turns by 90 degrees, the second by 180. */
function stepHeads(): StepHeads {
  const angles = [0, 0, QUARTER, 2 * QUARTER];
  return new StepHeads(text, 2, {
    cos: tensorOf('f32', [2, 2], angles.map(Math.cos)),
    sin: tensorOf('f32', [2, 2], angles.map(Math.sin)),
  });
}

describe('StepHeads', () => {
  const heads = stepHeads();
  // Two sequences: query heads 1…8, key 9…12, value 13…16, and the same and 100 more.
  for (let i = 0; i < 32; i++) heads.projected.data[i] = (i % 16) + 1 + (i < 16 ? 0 : 100);
  heads.begin([0, 1]);

  it('turns features i and i + d/2 of a query by the angles of its position, and ends it with 1', () => {
    heads.putQueries();
    assert.deepEqual(heads.query.shape, [2, 2, 5]);
    const still = [1, 2, 3, 4, 1, 5, 6, 7, 8, 1];
    const turned = [-103, -102, 101, -104, 1, -107, -106, 105, -108, 1];
    assertClose(heads.query.data, Float32Array.from([...still, ...turned]), { atol: 1e-5 });
  });

  it('puts keys turned, and values as they are, where they are wanted', () => {
    const target = new Float32Array(12);
    heads.putKey(1, 0, target, 1);
    heads.putValue(0, 0, target, 6);
    const expected = [0, -111, -110, 109, -112, 0, 13, 14, 15, 16, 0, 0];
    assertClose(target, Float32Array.from(expected), { atol: 1e-5 });
  });
});
