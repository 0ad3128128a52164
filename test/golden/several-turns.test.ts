import assert from 'node:assert/strict';
import { GenerationEngine } from '../../src/generation/engine.ts';
import { asPrompt, responseMedia } from '../../src/model/continuation.ts';
import { packPrompts, packSequences, type SequenceInput } from '../../src/model/pack.ts';
import { Policy } from '../../src/model/policy.ts';
import { promptPositions } from '../../src/model/position-ids.ts';
import { rows, tensorOf, type Tensor } from '../../src/tensor/tensor.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenSuite, textPrompt, tokens } from '../support/golden-model.ts';
import { goldenJson } from '../support/golden.ts';

interface SeveralTurns {
  readonly prompt_ids: readonly number[];
  readonly response_ids: readonly number[];
  readonly grids: readonly [[number, number, number], [number, number, number]];
  readonly position_ids: readonly (readonly number[])[];
  readonly logprobs: readonly number[];
}

/** The project's promise for log-probabilities, in nats. */
const TOLERANCE = { atol: 1e-4 };
const PATCH = 3 * 2 * 14 * 14;

/** The generator's pixels. */
function pixels([, height, width]: readonly number[], seed: number): Tensor<'f32'> {
  const count = height! * width! * PATCH;
  const values = Float32Array.from(
    { length: count },
    (_, i) => ((i * 7919 + seed) % 65536) / 32768 - 1,
  );
  return tensorOf('f32', [height! * width!, PATCH], values);
}

describe('a response with a picture inside', () => {
  const golden = goldenJson('several-turns/case.json') as SeveralTurns;
  const [first, second] = golden.grids;
  const suite = goldenSuite('micro-vl');
  let policy: Policy;
  let sequence: SequenceInput;
  before(() => {
    const { config, arena } = suite.model;
    const options = { gradientCheckpointing: false };
    policy = suite.owned.use(new Policy(suite.device, config, arena, options));
    const response = tokens(golden.response_ids);
    const media = { grids: [first], secondsPerGrid: null };
    sequence = {
      prompt: {
        tokenIds: tokens(golden.prompt_ids),
        positions: promptPositions(config, golden.prompt_ids, media),
        pixelValues: pixels(first, 0),
        grids: [first],
      },
      response,
      media: responseMedia(config, response, { pixelValues: pixels(second, 17), grids: [second] }),
    };
  });

  it('has the positions that transformers gives the whole sequence', () => {
    const expected = golden.position_ids.flat();
    assert.deepEqual([...packSequences([sequence]).positions.data], expected);
    assert.deepEqual([...asPrompt(sequence).positions.data], expected);
  });

  it('has the log-probabilities that transformers gives the whole sequence', async () => {
    const logProbs = await policy.logProbs(packSequences([sequence]), 1);
    assertClose(logProbs, golden.logprobs, TOLERANCE);
  });

  it('keeps them in a tree with other responses, and behind other sequences', async () => {
    const text = { ...sequence, response: tokens([41, 42]), media: null };
    const others = [{ prompt: textPrompt([5, 6]), response: tokens([7]) }, text];
    const batch = packSequences([...others, sequence, text]);
    assert.deepEqual(
      batch.trees.map(({ responses }) => responses),
      [[1], [2, 15, 2]],
    );
    const logProbs = await policy.logProbs(batch, 1);
    assertClose(logProbs.subarray(3, 18), golden.logprobs, TOLERANCE);
    assertClose(logProbs.subarray(1, 3), logProbs.subarray(18), TOLERANCE);
  });

  it('is one prompt to the turn after it, whose tokens have the same log-probabilities', async () => {
    const { config, arena } = suite.model;
    using engine = new GenerationEngine(suite.device, config, arena, {
      maxPrefillTokens: 256,
      bannedTokens: [],
    });
    // All but the last turn of three tokens; the engine draws others in their place.
    const cut = sequence.response.data.length - 3;
    const media = sequence.media!;
    const before = {
      prompt: sequence.prompt,
      response: rows(sequence.response, 0, cut),
      media: { ...media, positions: tensorOf('i32', [3, cut], columns(media.positions, cut)) },
    };
    const prompt = asPrompt(before);
    assert.deepEqual(packPrompts([prompt]).grids, [first, second]);
    const sampling = { temperature: 1, topP: 1, topK: -1 };
    const request = { prompt, sampling, maxTokens: 3, stopTokens: [], seeds: [[1, 2]] as const };
    const drawn = (await engine.generate([request]))[0]![0]!;
    const all = tensorOf('i32', [cut + 3], [...before.response.data, ...drawn.tokenIds.data]);
    const whole = { ...sequence, response: all };
    const logProbs = await policy.logProbs(packSequences([whole]), 1);
    assertClose(drawn.logProbs.data, logProbs.subarray(cut), TOLERANCE);
  });
});

function columns({ shape, data }: Tensor<'i32'>, count: number): number[] {
  const width = shape[1]!;
  return [0, 1, 2].flatMap((axis) => [...data.subarray(axis * width, axis * width + count)]);
}
