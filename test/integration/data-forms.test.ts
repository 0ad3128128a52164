import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withVariables } from '../support/environment.ts';
import { goldenPath } from '../support/golden.ts';
import { HubServer } from '../support/hub-server.ts';
import { metricsOf, tinySuite, trainedOf, trainTiny, writeTinyDemo } from '../support/tiny-run.ts';

describe('a run on data of other forms', () => {
  const { demo, path, write } = tinySuite();
  const answer = '<think>Yes.</think><answer>A ✅</answer>';
  before(() => {
    cpSync(goldenPath('video/frames/slow-0.png'), join(demo, 'red.png'));
  });

  /** One step on so many prompts, all of a file's; returns its metrics. */
  async function trainOn(
    files: string,
    prompts: number,
    more: readonly string[] = [],
  ): Promise<Record<string, number | null>> {
    const run = path(`run-${files.replace(/\W/g, '-')}`);
    await trainTiny(demo, run, [
      'trainer.max_steps=1',
      'trainer.val_freq=-1',
      'trainer.val_before_train=false',
      `data.train_files=${files}`,
      `data.val_files=${files}`,
      `data.rollout_batch_size=${prompts}`,
      `worker.actor.global_batch_size=${prompts}`,
      ...['update', 'experience'].map(
        (use) => `worker.actor.micro_batch_size_per_device_for_${use}=${2 * prompts}`,
      ),
      ...more,
    ]);
    const [trained] = trainedOf(run);
    assert.equal(Object.keys(trained!.groups).length, prompts);
    const [metrics] = metricsOf(run);
    assert.ok(Number.isFinite(metrics!['actor/grad_norm']));
    return metrics!;
  }

  it('trains on a data set of the hub: Parquet with no image, one as bytes, and several', async () => {
    const table = readFileSync(goldenPath('tables/snappy.parquet'));
    await using hub = await HubServer.start([
      {
        id: 'datasets/clinic/chest',
        files: { 'README.md': '# Chest', 'data/train-00000-of-00001.parquet': table },
        token: 'hf_secret',
      },
    ]);
    const cache = path('hub');
    const variables = { HF_ENDPOINT: hub.url, HF_HUB_CACHE: cache, HF_TOKEN: 'hf_secret' };
    await withVariables(variables, () =>
      trainOn('clinic/chest@train', 3, ['data.prompt_key=problem']),
    );
  });

  const frames = [0, 1, 2, 3].map((i) => goldenPath(`video/frames/slow-${i}.png`));
  const watched = (...videos: readonly unknown[]): string => {
    const rows = videos.map((video) => ({
      prompt: '<video>Does it move?',
      answer,
      videos: [video],
    }));
    return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  };

  it('trains on videos: frames, and a file that ffmpeg reads', async function () {
    const clip = join(demo, 'clip.mkv');
    const made = spawnSync(
      'ffmpeg',
      [
        '-v',
        'error',
        '-framerate',
        '2',
        '-i',
        join(goldenPath('video/frames'), 'slow-%d.png'),
        clip,
      ],
      { encoding: 'utf8' },
    );
    // .ci/run installs it.
    if (made.error !== undefined) this.skip();
    assert.equal(made.status, 0, made.stderr);
    const metrics = await trainOn(write('videos.jsonl', watched(frames, clip)), 2);
    const plain = await trainOn(
      write('text.jsonl', `${JSON.stringify({ prompt: 'Does it move?', answer })}\n`),
      1,
    );
    assert.ok(metrics['prompt_length/min']! > plain['prompt_length/max']! + 2);
  });

  it('trains on videos whose frames stand apart, each behind its time', async () => {
    const { model } = await writeTinyDemo(path('apart'), 'qwen3-vl');
    const of = async (file: string): Promise<number> =>
      (await trainOn(file, 1, [`worker.actor.model.model_path=${model}`]))['prompt_length/max']!;
    const one = await of(write('two-frames.jsonl', watched(frames.slice(0, 2))));
    const two = await of(write('four-frames.jsonl', watched(frames)));
    // Of frames of 64 x 64 a pair has 4 tokens, with its marks 6, and the times are text.
    assert.ok(two >= one + 6 + '<1.0>'.length);
  });
});
