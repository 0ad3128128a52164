import assert from 'node:assert/strict';
import { Progress } from '../../../../src/cli/output/progress.ts';

describe('progress', () => {
  const phase = (name: string, done: number): Parameters<Progress['begin']>[0] => ({
    name,
    total: 128,
    done: () => done,
  });
  const pace = { step: 12, steps: 130, seconds: 1, secondsLeft: 118 };

  it('says how far the phase is, and the time left where that is all there is', () => {
    const progress = new Progress();
    assert.equal(progress.line(80, 0), '');
    using _ = progress.begin(phase('rollout', 32), 0);
    const bar = '█'.repeat(6) + '░'.repeat(18);
    assert.equal(progress.line(80, 500), `rollout       ${bar} 32/128  0:01`);
    assert.equal(progress.line(80, 2_000), `rollout       ${bar} 32/128  0:02  0:06 left`);
  });

  it('says how far the whole run is, whose time left goes down between its steps', () => {
    const progress = new Progress();
    progress.take(pace, 1_000);
    assert.equal(progress.line(80, 4_000), 'step 12/130  1:55 left');
    assert.equal(progress.line(80, 200_000), 'step 12/130  0:00 left');
    using _ = progress.begin(phase('old log-probs', 128), 3_000);
    const bar = '█'.repeat(22);
    assert.equal(
      progress.line(80, 4_000),
      `old log-probs ${bar} 128/128  0:01  step 12/130  1:55 left`.replace(bar, '█'.repeat(24)),
    );
  });

  it('shows the first of phases beside each other', () => {
    const progress = new Progress();
    const first = progress.begin(phase('reference', 0), 0);
    using _ = progress.begin(phase('values', 0), 0);
    assert.match(progress.line(80, 0), /^reference /);
    first[Symbol.dispose]();
    assert.match(progress.line(80, 0), /^values /);
  });

  it('leaves out what does not fit, and never fills the last column', () => {
    const progress = new Progress();
    progress.take(pace, 0);
    using _ = progress.begin(phase('old log-probs', 64), 0);
    for (let columns = 1; columns < 120; columns++) {
      const { length } = progress.line(columns, 90_000_000);
      assert.ok(length < columns, `${columns} columns`);
    }
    assert.match(progress.line(40, 0), /^old log-probs █+░+ 64\/128 {2}0:00$/);
  });
});
