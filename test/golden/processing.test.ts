import assert from 'node:assert/strict';
import { patchValues } from '../../src/tensor/patch-levels.ts';
import { decodeImage } from '../../src/vision/decode.ts';
import { toPlain } from '../../src/vision/modes.ts';
import { loadProcessor, VisionProcessor } from '../../src/vision/processor.ts';
import { ChatTemplate, type ChatMessage } from '../../src/text/chat-template.ts';
import { expandPlaceholders } from '../../src/text/image-tokens.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { decodeModelConfig } from '../../src/model/checkpoint/config-file.ts';
import { promptPositions } from '../../src/model/position-ids.ts';
import { assertClose } from '../support/assert-close.ts';
import {
  goldenCases,
  goldenJson,
  goldenPath,
  goldenPixelValues,
  goldenTensors,
} from '../support/golden.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

const checkpoint = goldenPath('micro-vl');

describe('processing of the golden cases', () => {
  const tokenizer = Tokenizer.load(checkpoint);
  const chatTemplate = ChatTemplate.load(checkpoint);
  const processor = new VisionProcessor(loadProcessor(checkpoint));
  const config = decodeModelConfig(goldenJson('micro-vl/config.json'), 'config.json');
  const imageTokenId = tokenizer.idOf('<|image_pad|>')!;
  const tensors = goldenTensors('micro-vl-reference/tensors.safetensors');

  for (const golden of goldenCases()) {
    describe(`case ${golden.id}`, () => {
      it('renders and tokenises the prompt to the same text and ids', () => {
        const text = chatTemplate.render(golden.messages as readonly ChatMessage[]);
        const counts = golden.image_grid_thw.map((grid) => processor.tokensOf(grid));
        const ids = expandPlaceholders(tokenizer.encode(text), imageTokenId, counts);
        assert.equal(text, golden.chat_text);
        assert.deepEqual([...ids], golden.prompt_ids);
      });

      it('tokenises the response to the same ids, and back', () => {
        const ids = [...tokenizer.encode(golden.response_text), tokenizer.endOfTurnId];
        assert.deepEqual(ids, golden.response_ids);
        const text = tokenizer.decode(golden.response_ids, { skipSpecialTokens: true });
        assert.equal(text, golden.response_text);
      });

      it('places the tokens at the same positions', () => {
        const ids = [...golden.prompt_ids, ...golden.response_ids];
        const media = { grids: golden.image_grid_thw, secondsPerGrid: null };
        const { data } = promptPositions(config, ids, media);
        assert.deepEqual([...data], golden.position_ids.flat());
        assert.equal(Math.max(...data) + 1 - ids.length, golden.rope_delta);
      });

      it('turns the images into the same pixel values', async () => {
        const expected = goldenPixelValues(tensors, golden.id).data;
        let at = 0;
        for (const [index, file] of golden.images.entries()) {
          const image = await decodeImage(goldenPath(`micro-vl-reference/${file}`));
          const { pixelValues, grid } = processor.process(toPlain(image));
          const { data } = patchValues([pixelValues])!;
          const part = expected.subarray(at, at + data.length);
          assert.deepEqual(grid, golden.image_grid_thw[index]);
          assertClose(data, part, { atol: 1e-6 }, file);
          at += data.length;
        }
        assert.equal(at, expected.length);
      });
    });
  }
});

describe("the image processor with Qwen3-VL's settings", () => {
  interface PictureCase {
    readonly file: string;
    readonly grid: readonly number[];
    /** Sum of the values of each patch, its first value and its last. */
    readonly sums: readonly number[];
    readonly first: readonly number[];
    readonly last: readonly number[];
  }
  const golden = goldenJson('families/processing.json') as {
    readonly settings: object;
    readonly cases: readonly PictureCase[];
  };
  using directory = new TemporaryDirectory();
  directory.write('preprocessor_config.json', JSON.stringify(golden.settings));
  const processor = new VisionProcessor(loadProcessor(directory.path));

  for (const { file, grid, sums, first, last } of golden.cases) {
    it(`gives the grid and the patches of ${file} that transformers gives`, async () => {
      const image = await decodeImage(goldenPath(`micro-vl-reference/images/${file}`));
      const processed = processor.process(toPlain(image));
      const { data } = patchValues([processed.pixelValues])!;
      assert.deepEqual(processed.grid, grid);
      const width = data.length / sums.length;
      const patches = sums.map((_, i) => data.subarray(i * width, (i + 1) * width));
      const sumOf = (patch: Float32Array) => patch.reduce((sum, value) => sum + value, 0);
      // A level is 1/127.5, so that one wrong level in a patch would show.
      assertClose(patches.map(sumOf), sums, { atol: 1e-3 });
      assertClose(
        patches.map((patch) => patch[0]!),
        first,
        { atol: 1e-6 },
      );
      assertClose(
        patches.map((patch) => patch.at(-1)!),
        last,
        { atol: 1e-6 },
      );
    });
  }
});
