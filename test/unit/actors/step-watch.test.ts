import assert from 'node:assert/strict';
import { IdleWatch } from '../../../actors/trainer/report/step-watch.ts';

const busy = {
  'critic/advantages/max': 1,
  'critic/advantages/min': -1,
  'actor/grad_norm': 0.5,
  'critic/score/mean': 0.25,
  'critic/score/max': 1,
  'critic/score/min': 0,
  'response_length/clip_ratio': 0,
};
const same = { ...busy, 'critic/advantages/max': 0, 'critic/advantages/min': 0 };

/** Notes after each of so many like steps. */
function saidOf(
  watch: IdleWatch,
  metrics: typeof busy,
  accuracy: number,
  steps: number,
): unknown[] {
  return Array.from({ length: steps }, () => watch.observe(metrics, accuracy));
}

describe('the watch for training on nothing', () => {
  it('says nothing of a run that learns, nor of a few idle steps', () => {
    const watch = new IdleWatch();
    assert.deepEqual(saidOf(watch, busy, 0.5, 20), new Array(20).fill(null));
    assert.deepEqual(saidOf(watch, same, 0, 4), new Array(4).fill(null));
    assert.equal(watch.observe(busy, 0.1), null);
    assert.deepEqual(saidOf(watch, same, 0, 4), new Array(4).fill(null));
  });

  it('says once that rewards do not differ, and what they are', () => {
    const watch = new IdleWatch();
    const said = saidOf(
      watch,
      { ...same, 'critic/score/max': 0.25, 'critic/score/min': 0.25 },
      1,
      12,
    );
    assert.deepEqual(said.toSpliced(4, 1), new Array(11).fill(null));
    assert.match(
      String(said[4]),
      /^warning: there was nothing to learn from in the last 5 steps: every response got the same reward .*, always 0\.250; the prompts may be too easy or too hard/,
    );
  });

  it('names the limit of length where answers end there and none is right', () => {
    const said = saidOf(new IdleWatch(), { ...same, 'response_length/clip_ratio': 0.75 }, 0, 5);
    assert.match(
      String(said[4]),
      /0\.250 on average; none was right; 75% of responses end at data\./,
    );
    const unlike = saidOf(new IdleWatch(), busy, 0, 5);
    assert.match(String(unlike[4]), /^warning: no response was right in the last 5 steps: see in /);
  });

  it('tells of a gradient of zero under rewards that differ, but not while only the critic is trained', () => {
    const still = saidOf(new IdleWatch(), { ...busy, 'actor/grad_norm': 0 }, 0.5, 5);
    assert.match(
      String(still[4]),
      /^warning: the gradient was zero in the last 5 steps: rewards differ/,
    );
    const { 'actor/grad_norm': _, ...warming } = busy;
    assert.deepEqual(
      saidOf(new IdleWatch(), warming as typeof busy, 0.5, 9),
      new Array(9).fill(null),
    );
  });
});
