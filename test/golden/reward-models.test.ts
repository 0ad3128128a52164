import assert from 'node:assert/strict';
import { join } from 'node:path';
import { openDevice } from '../../src/device/open.ts';
import { loadRewardCheckpoint } from '../../src/model/checkpoint/value-checkpoint.ts';
import { Network } from '../../src/model/network.ts';
import { conversationScores } from '../../src/training/conversation-scores.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenTexts, textPrompt } from '../support/golden-model.ts';
import { goldenJson } from '../support/golden.ts';
import { writeRewardCheckpoint } from '../support/reward-checkpoint.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

const cases = goldenTexts();
const golden = goldenJson('reward-models/scores.json') as {
  readonly weight: readonly number[];
  readonly scores: readonly number[];
};

describe('a reward model against transformers', () => {
  let folder: TemporaryDirectory;
  before(() => (folder = new TemporaryDirectory()));
  after(() => folder[Symbol.dispose]());

  it('gives conversations the same scores, whichever are computed together', async () => {
    const directory = join(folder.path, 'classifier');
    await writeRewardCheckpoint(directory, golden.weight);
    const { config, arena } = await loadRewardCheckpoint(directory);
    using device = openDevice({ threads: 1 });
    using model = new Network(device, config, arena, 'value', { gradientCheckpointing: false });
    const conversations = cases.map(({ prompt_ids, response_ids }) =>
      textPrompt([...prompt_ids, ...response_ids]),
    );
    for (const size of [1, 3, cases.length]) {
      const microBatch = { size, dynamic: false, maxTokens: 64 };
      const scores = await conversationScores(model, conversations, microBatch);
      assertClose(scores, golden.scores, { atol: 1e-4 });
    }
  });

  it('is refused without a head', async () => {
    const directory = join(folder.path, 'headless');
    await writeRewardCheckpoint(directory, null);
    await assert.rejects(loadRewardCheckpoint(directory), {
      code: 'CHECKPOINT_INVALID',
      message: /score\.weight/,
    });
  });
});
