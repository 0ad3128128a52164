import assert from 'node:assert/strict';
import fc from 'fast-check';
import { findings } from '../../../src/demo/findings.ts';
import { drawChest } from '../../../src/demo/draw.ts';
import { demoSample, type SampleRecipe } from '../../../src/demo/sample.ts';
import { builtInReward } from '../../../src/reward/registry.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import type { Picture } from '../../../src/vision/encode.ts';

const recipe: SampleRecipe = {
  seed: 1,
  split: 'train',
  task: 'closed',
  index: 0,
  size: 28,
  rejections: 0,
};

/** Mean of each cell of a grid of 12 by 12 over a picture of 84 by 84. */
function cells({ data }: Picture): number[] {
  const means = new Array<number>(144).fill(0);
  for (let row = 0; row < 84; row++) {
    for (let column = 0; column < 84; column++) {
      const cell = Math.floor(row / 7) * 12 + Math.floor(column / 7);
      means[cell] = means[cell]! + data[(row * 84 + column) * 3]! / 49;
    }
  }
  return means;
}

function distance(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
}

/** The cells less their mean: brightness varies from picture to picture and says nothing of a finding. */
function shapeOf(picture: Picture): number[] {
  const grey = cells(picture);
  const mean = grey.reduce((sum, value) => sum + value, 0) / grey.length;
  return grey.map((value) => value - mean);
}

describe('the demo data', () => {
  it('has exactly the options A to G, one for each finding', () => {
    assert.equal(findings.map(({ letter }) => letter).join(''), 'ABCDEFG');
    assert.equal(new Set(findings.map(({ kind }) => kind)).size, 7);
  });

  it('draws findings that the nearest class mean of another split tells apart', () => {
    const drawn = (split: string, kind: number, i: number): number[] =>
      shapeOf(drawChest([findings[kind]!.kind], 84, new Rng(keyOf(split, kind, i))));
    const means = findings.map((_, kind) => {
      const samples = Array.from({ length: 12 }, (_, i) => drawn('train', kind, i));
      return samples[0]!.map((_, cell) => samples.reduce((sum, s) => sum + s[cell]! / 12, 0));
    });
    let right = 0;
    for (let kind = 0; kind < 7; kind++) {
      for (let i = 0; i < 6; i++) {
        const sample = drawn('val', kind, i);
        const distances = means.map((mean) => distance(sample, mean));
        if (distances.indexOf(Math.min(...distances)) === kind) right++;
      }
    }
    assert.ok(right >= 40, `${right} of 42`);
  });

  it('shows the patient’s left on the right of the picture', () => {
    const base = (kind: 'left_effusion' | 'right_effusion'): number => {
      const grid = cells(drawChest([kind], 84, new Rng(keyOf('side'))));
      return grid[8 * 12 + 9]! - grid[8 * 12 + 2]!;
    };
    assert.ok(base('left_effusion') > 50);
    assert.ok(base('right_effusion') < -50);
  });

  it('gives the same recipe the same sample, and other recipes other pictures', () => {
    assert.deepEqual(demoSample(recipe), demoSample(recipe));
    const pictures = new Set<string>();
    for (const split of ['train', 'val'] as const) {
      for (let index = 0; index < 50; index++) {
        const { picture } = demoSample({ ...recipe, split, index });
        pictures.add(Buffer.from(picture.data).toString('base64'));
      }
    }
    assert.equal(pictures.size, 100);
  });

  it('answers the closed question in one legal step that earns every bonus', async () => {
    const { answer, prompt } = demoSample({ ...recipe, index: 1 });
    assert.equal(answer, '<think>The heart is enlarged.</think><answer>B ✅</answer>');
    assert.match(prompt, /^<image>[^]*\nG\. Opacity\n/);
    const closed = builtInReward('closed');
    const [parts] = await closed.score([
      { response: answer, responseLength: 1, groundTruth: answer },
    ]);
    assert.deepEqual(parts, {
      overall: 1,
      format: 1,
      acc: 1,
      reason: 1,
      process: 0.5,
      base_reward: 1,
    });
  });

  it('answers the closed question with few options by judging each where it stands, then sums up', () => {
    const places = new Set<number>();
    for (let index = 0; index < 50; index++) {
      const { prompt, answer } = demoSample({ ...recipe, size: 4, index, rejections: 2 });
      const options = [...prompt.matchAll(/^([A-G])\. /gm)].map(([, letter]) => letter);
      const steps = [...answer.matchAll(/<answer>([A-G]) ([✅❌])/gu)];
      const truths = steps.filter(([, , mark]) => mark === '✅').map(([, letter]) => letter);
      assert.equal(options.length, 3);
      assert.deepEqual(options, options.toSorted());
      assert.deepEqual(
        steps.map(([, letter]) => letter),
        [...options, truths[0]],
      );
      assert.deepEqual(truths, [truths[0], truths[0]]);
      places.add(options.indexOf(truths[0]));
    }
    assert.deepEqual([...places].sort(), [0, 1, 2]);
  });

  it('writes solutions that their own reward, repaired, gives the most it can', async () => {
    const closed = builtInReward('closed', { form: 'repaired' });
    const open = builtInReward('open', { form: 'repaired' });
    const recipes = fc.record({
      task: fc.constantFrom('closed' as const, 'open' as const),
      index: fc.nat(1000),
      rejections: fc.nat(6),
    });
    await fc.assert(
      fc.asyncProperty(recipes, async (some) => {
        const { answer } = demoSample({ ...recipe, size: 4, ...some });
        const reward = some.task === 'closed' ? closed : open;
        const [parts] = await reward.score([
          { response: answer, responseLength: 1, groundTruth: answer },
        ]);
        assert.equal(parts!['base_reward'], 1, answer);
        assert.ok(Math.abs(parts!['reason']! - 1) < 1e-12, answer);
        assert.equal(parts!['process'], some.task === 'closed' ? 0.5 : 0.2, answer);
      }),
    );
  });
});
