import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CxmindError } from '../../src/errors.ts';
import { createLogger } from '../../src/log.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

describe('createLogger', () => {
  let directory: TemporaryDirectory;
  let folder: string;
  beforeEach(() => {
    directory = new TemporaryDirectory();
    folder = directory.path;
  });
  afterEach(() => directory[Symbol.dispose]());

  function events(path: string): Record<string, unknown>[] {
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  it('has written every event, in order, once it is closed', async () => {
    const path = join(folder, 'deep/er/run.log');
    {
      await using log = createLogger({ path });
      for (let step = 0; step < 5000; step++) log.logger.info({ step }, 'step');
    }
    const written = events(path);
    assert.deepEqual(
      written.map((event) => event['step']),
      Array.from({ length: 5000 }, (_, step) => step),
    );
    const { time, ...rest } = written[0]!;
    assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 60_000);
    assert.deepEqual(rest, { level: 'info', step: 0, msg: 'step' });
  });

  it('appends to what is there, drops what is below its level or comes late', async () => {
    const path = join(folder, 'run.log');
    for (const level of ['warn', 'debug'] as const) {
      const log = createLogger({ path, level });
      log.logger.debug({ level }, 'detail');
      log.logger.error({}, 'trouble');
      await Promise.all([log.close(), log.close()]);
      log.logger.error({}, 'too late');
    }
    assert.deepEqual(
      events(path).map((event) => event['msg']),
      ['trouble', 'detail', 'trouble'],
    );
  });

  it('gives children whose fields stand in every event', async () => {
    const path = join(folder, 'run.log');
    const log = createLogger({ path });
    log.logger.child({ actor: 'rollout/0' }).child({ step: 3 }).warn({ tokens: 7 }, 'slow');
    await log.close();
    const [event] = events(path);
    assert.equal(event?.['actor'], 'rollout/0');
    assert.equal(event['step'], 3);
    assert.equal(event['tokens'], 7);
  });

  it('writes an error with its code, detail and cause', async () => {
    const path = join(folder, 'run.log');
    const log = createLogger({ path });
    const cause = new CxmindError('RUNTIME_FAILED', 'below');
    const error = new CxmindError('ACTOR_CRASHED', 'above', { detail: { actor: 'a' }, cause });
    log.logger.error({ error }, 'crash');
    await log.close();
    const written = events(path)[0]?.['error'] as Record<string, unknown>;
    assert.equal(written['code'], 'ACTOR_CRASHED');
    assert.deepEqual(written['detail'], { actor: 'a' });
    assert.equal((written['cause'] as Record<string, unknown>)['message'], 'below');
  });

  it('says so at once when the file cannot be opened', () => {
    assert.throws(() => createLogger({ path: folder }), {
      code: 'CONFIG_INVALID',
      message: `log: cannot append to ${folder}: illegal operation on a directory`,
    });
  });

  it('ends nothing where the disk is full', async () => {
    const log = createLogger({ path: '/dev/full' });
    log.logger.info({ step: 1 }, 'step');
    await new Promise((resolve) => setTimeout(resolve, 50));
    log.logger.info({ step: 2 }, 'step');
    await log.close();
  });
});
