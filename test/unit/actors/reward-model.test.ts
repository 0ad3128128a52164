import assert from 'node:assert/strict';
import { join } from 'node:path';
import sharp from 'sharp';
import { rewardModelActor, type RewardModelProps } from '../../../actors/reward-model/actor.ts';
import type { rewardProtocol, ScoreRequest } from '../../../actors/reward/protocol.ts';
import type { Actor } from '../../../actors/runtime/actor.ts';
import { openDevice } from '../../../src/device/open.ts';
import { readModelConfig } from '../../../src/model/checkpoint/config-file.ts';
import { loadRewardCheckpoint } from '../../../src/model/checkpoint/value-checkpoint.ts';
import { Network } from '../../../src/model/network.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import type { BitDepth } from '../../../src/vision/sample-depth.ts';
import { conversationScores } from '../../../src/training/conversation-scores.ts';
import { assertClose } from '../../support/assert-close.ts';
import { textPrompt } from '../../support/golden-model.ts';
import { goldenJson, goldenPath } from '../../support/golden.ts';
import { writeRewardCheckpoint } from '../../support/reward-checkpoint.ts';
import { scoreRequest, shortContext } from '../../support/reward-input.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('a reward model as an actor', () => {
  const tokenizer = Tokenizer.load(goldenPath('micro-vl'));
  let folder: TemporaryDirectory;
  let actor: Actor<typeof rewardProtocol>;
  let path: string;
  const score = async (request: ScoreRequest) => actor.score(request, undefined as never);
  before(async () => {
    folder = new TemporaryDirectory();
    path = join(folder.path, 'model');
    const { text } = await readModelConfig(goldenPath('micro-vl'));
    const weight = Array.from({ length: text.hiddenSize }, (_, i) => Math.sin(i));
    await writeRewardCheckpoint(path, weight, 'micro-vl');
    const props: RewardModelProps = {
      ...{ modelPath: path, tokenizerPath: goldenPath('micro-vl') },
      ...{ device: 'cpu', computeDType: 'f32', threads: 1, microBatchSize: 2 },
      media: { minPixels: null, maxPixels: null },
    };
    actor = await rewardModelActor.create(props, undefined as never);
  });
  after(() => {
    actor[Symbol.dispose]?.();
    folder[Symbol.dispose]();
  });

  it('scores the conversation as its own chat template writes it, at the last token', async () => {
    const texts = ['Because.', 'Why not?', 'B'];
    // The end of the turn is sampled, and the template writes its own.
    const sampled = texts.map((text) => `${text}<|im_end|>`);
    const { scored } = await score(scoreRequest(tokenizer, sampled, ''));
    assert.deepEqual(
      scored.map(({ text }) => text),
      texts,
    );
    const conversations = texts.map((text) =>
      textPrompt(
        tokenizer.encode(
          '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n' +
            `<|im_start|>assistant\n${text}<|im_end|>\n`,
        ),
      ),
    );
    const { config, arena } = await loadRewardCheckpoint(path);
    using device = openDevice({ threads: 1 });
    using model = new Network(device, config, arena, 'value', { gradientCheckpointing: false });
    const microBatch = { size: 2, dynamic: false, maxTokens: 64 };
    const wanted = await conversationScores(model, conversations, microBatch);
    assert.deepEqual(
      scored.map(({ parts }) => parts),
      wanted.map((overall) => ({ overall })),
    );
    assert.equal(new Set(wanted).size, 3);
  });

  it('scores conversations with pictures as transformers does', async () => {
    const golden = goldenJson('reward-models/vl-scores.json') as readonly {
      readonly images: readonly string[];
      readonly response: string;
      readonly score: number;
    }[];
    const requests = golden.map(({ images, response }) => {
      const pictures = images.map(() => ({ type: 'image' as const }));
      const content = [...pictures, { type: 'text' as const, text: 'Which finding?' }];
      const messages = [{ role: 'user' as const, content }];
      return scoreRequest(tokenizer, [response], '', { ...shortContext, messages });
    });
    const { scored } = await score({
      prompts: requests.map(({ prompts: [prompt] }, i) => ({
        ...prompt!,
        images: golden[i]!.images.map((name) => goldenPath(`micro-vl-reference/images/${name}`)),
      })),
      responses: requests.map(({ responses: [response] }, prompt) => ({ ...response!, prompt })),
    });
    assertClose(
      scored.map(({ parts }) => parts!['overall']!),
      golden.map(({ score }) => score),
      { atol: 1e-4 },
    );
  });

  it('reads 16-bit pictures by the bit depth of the prompt', async () => {
    const raw = { width: 56, height: 56, channels: 1 } as const;
    const levels = Uint8Array.from({ length: 56 * 56 }, (_, i) => i);
    const shallow = await sharp(levels, { raw }).png().toBuffer();
    const samples = Uint16Array.from(levels, (level) => 16 * level);
    const deep = await sharp(samples, { raw }).toColourspace('grey16').png().toBuffer();
    const messages = [{ role: 'user' as const, content: [{ type: 'image' as const }] }];
    const request = scoreRequest(tokenizer, ['B'], '', { ...shortContext, messages });
    const scoreOf = async (picture: Uint8Array, bitDepth: BitDepth): Promise<number> => {
      const prompts = request.prompts.map((one) => ({ ...one, images: [picture], bitDepth }));
      const { scored } = await score({ ...request, prompts });
      return scored[0]!.parts!['overall']!;
    };
    const wanted = await scoreOf(shallow, 16);
    assert.equal(await scoreOf(deep, 12), wanted);
    assert.notEqual(await scoreOf(deep, 16), wanted);
  });

  it('refuses pictures that are not there or that nobody speaks of, and videos', async () => {
    const refused = async (
      kinds: readonly ('image' | 'video')[],
      images: readonly string[],
      message: RegExp,
    ): Promise<void> => {
      const messages = [{ role: 'user' as const, content: kinds.map((type) => ({ type })) }];
      const request = scoreRequest(tokenizer, ['B'], '', { ...shortContext, messages });
      const prompts = request.prompts.map((prompt) => ({ ...prompt, images }));
      await assert.rejects(score({ ...request, prompts }), {
        code: 'DATA_INVALID',
        message,
      });
    };
    const picture = goldenPath('micro-vl-reference/images/case_001_0.png');
    await refused(
      ['image'],
      [],
      /^row 0: the reward model .* has 1 place\(s\) for 0 picture\(s\)$/,
    );
    await refused([], [picture], /has 0 place\(s\) for 1 picture\(s\)$/);
    await refused(['image'], ['gone.png'], /^row 0: .*gone\.png/);
    await refused(['video'], [], /^row 0: the reward model .* reads no videos$/);
  });
});
