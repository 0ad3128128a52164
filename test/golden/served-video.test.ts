import { readFileSync } from 'node:fs';
import { chatTools } from '../../src/data/sample-options.ts';
import { promptOf } from '../../src/serving/conversation.ts';
import type { Grid, PatchLevels } from '../../src/tensor/patch-levels.ts';
import { loadGoldenModel } from '../support/golden-model.ts';
import {
  assertGoldenVideos,
  frameFile,
  writeTimedProcessor,
  type GoldenVideos,
  type Size,
} from '../support/golden-video.ts';
import { goldenJson, goldenPath } from '../support/golden.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

/** A prompt about the frames `moving`. */
type Moving = GoldenVideos & { readonly name: string };

describe('a served video', function () {
  let directory: TemporaryDirectory;
  let url: string;
  before(function () {
    directory = new TemporaryDirectory();
    const path = frameFile(directory, 'moving');
    // .ci/run installs ffmpeg.
    if (path === null) return this.skip();
    url = `data:video/x-matroska;base64,${readFileSync(path).toString('base64')}`;
  });
  after(() => directory[Symbol.dispose]());

  const assertServed = async (
    folder: string,
    tokenizerPath: string,
    grids: readonly Grid[],
    golden: GoldenVideos,
  ): Promise<void> => {
    const { config: model } = await loadGoldenModel(folder);
    // Frames as they are: those of the set may be smaller than videos are by default.
    const sizes = { minPixels: 3136, maxPixels: null, videoFps: 2 };
    const sample = chatTools({ model, tokenizerPath, overrideChatTemplate: null, ...sizes });
    const options = { sample, mostTokens: 200, allowedLocalMediaPath: null };
    const content = [
      { type: 'video_url' as const, videoUrl: { url } },
      { type: 'text' as const, text: 'What moves?' },
    ];
    const messages = [{ role: 'user' as const, content, name: null }];
    const asked = { messages, chatTemplateKwargs: null };
    const { tokenIds, pixelValues, ...prompt } = await promptOf(asked, options, AbortSignal.any([]));
    const levels = pixelValues as PatchLevels;
    assertGoldenVideos({ ...prompt, tokenIds: tokenIds.data, pixelValues: levels }, grids, golden);
  };

  it('has the tokens, positions and pixels of transformers, its frames in a row', async () => {
    const cases = goldenJson('video/cases.json') as (Moving & { readonly grid: Grid })[];
    const { grid, ...golden } = cases.find(({ name }) => name === 'moving')!;
    await assertServed('micro-vl', goldenPath('micro-vl'), [grid], golden);
  });

  it('has them with its frames apart, each behind its time', async () => {
    interface Case extends Moving {
      readonly grids: readonly Grid[];
      readonly size: Size;
    }
    const { cases } = goldenJson('video/qwen3-vl.json') as { readonly cases: readonly Case[] };
    const { grids, size, ...golden } = cases.find(({ name }) => name === 'moving')!;
    writeTimedProcessor(directory, size);
    await assertServed('video/qwen3-vl', directory.path, grids, golden);
  });
});
