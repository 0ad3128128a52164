import assert from 'node:assert/strict';
import { serveGolden } from '../../support/chat-server.ts';
import { besiege } from '../../support/hostile-requests.ts';

describe('a server under hostile requests', () => {
  it('gives another client the same answers, and serves on after them', async () => {
    await using served = await serveGolden();
    const answers = await besiege(served, 256);
    assert.ok(answers > 5, `${answers} answers meanwhile`);
  });

  it('tells requests beyond its queue to come again, and answers those within', async () => {
    await using small = await serveGolden({ maxNumSeqs: 1, maxQueue: 1 });
    const { completions } = small.client.chat;
    const ask = { model: 'micro/vl', messages: [{ role: 'user' as const, content: 'x' }] };
    const asked = Array.from({ length: 4 }, () =>
      completions.create({ ...ask, max_completion_tokens: 40 }),
    );
    const results = await Promise.allSettled(asked);
    const statuses = results.map((each) =>
      each.status === 'fulfilled' ? 200 : (each.reason as { status: number }).status,
    );
    assert.deepEqual(statuses.sort(), [200, 200, 429, 429]);
  });
});
