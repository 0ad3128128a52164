import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { askHub } from '../../../src/cli/ask-hub.ts';
import type { Finding } from '../../../src/doctor/finding.ts';
import { checkHub } from '../../../src/doctor/hub.ts';
import { listenAt } from '../../../src/serving/http.ts';

async function found(url: string, environment = {}, isOffline = false): Promise<Finding> {
  const [finding] = await checkHub({ url, isOffline }, { environment }, askHub);
  return finding!;
}

describe('the check of the hub', () => {
  let status = 200;
  const server = createServer((_, response) => response.writeHead(status).end());
  let host: string;
  before(async () => {
    host = new URL(await listenAt(server, '127.0.0.1', 0)).host;
  });
  after(() => server[Symbol.asyncDispose]());

  it('is content with a hub that answers', async () => {
    const says = `${host} answers`;
    for (status of [200, 404]) {
      assert.deepEqual(await found(`http://${host}`), { check: 'hub', verdict: 'ok', says });
    }
  });

  it('finds a hub broken that fails or is not there, and knows ways out', async () => {
    status = 503;
    const failing = await found(`http://${host}`, { HF_ENDPOINT: `http://${host}` });
    assert.equal(failing.says, `${host} does not answer: status 503`);
    assert.equal(failing.mend, 'unset HF_ENDPOINT');
    const closed = await found('http://127.0.0.1:1', { https_proxy: 'http://proxy:1' });
    assert.equal(closed.verdict, 'broken');
    assert.match(closed.says, /^127\.0\.0\.1:1 does not answer: \S/);
    assert.equal(closed.mend, 'export NODE_USE_ENV_PROXY=1');
    assert.equal((await found('nowhere')).mend, 'curl -sSI https://huggingface.co');
  });

  it('asks nobody where the hub is not to be asked', async () => {
    const offline = await found('http://127.0.0.1:1', {}, true);
    assert.equal(offline.verdict, 'worth knowing');
    assert.equal(offline.mend, 'unset HF_HUB_OFFLINE');
  });
});
