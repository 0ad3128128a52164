import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import fc from 'fast-check';
import type { LoggerName } from '../../../src/config/schema.ts';
import { MlflowLogger } from '../../../src/loggers/mlflow.ts';
import type { RunDescription } from '../../../src/loggers/logger.ts';
import { Loggers } from '../../../src/loggers/open.ts';
import { listenAt } from '../../../src/serving/http.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const run: RunDescription = {
  project: 'p',
  experiment: 'nightly',
  config: { trainer: { seed: 1, logger: ['mlflow'] }, long: 'x'.repeat(7000) },
  folder: '',
  resumedAfter: null,
  isLook: false,
};
const now = (): number => 1_700_000_000_250;

/** Opens loggers beside a table of steps. @returns them, and what they tell the user */
function opened(
  names: readonly LoggerName[],
  folder: string,
  environment: Readonly<Record<string, string>>,
): { readonly loggers: Loggers; readonly notes: readonly string[] } {
  const notes: string[] = [];
  const note = (text: string): void => void notes.push(text);
  const surroundings = { environment, write: note, note, consoleForm: 'table' } as const;
  return { loggers: new Loggers(names, { ...run, folder }, surroundings), notes };
}

/** A tracking server that notes what it is asked. */
class FakeServer implements AsyncDisposable {
  readonly asked: { path: string; body: Record<string, unknown>; authorization?: string }[] = [];
  /** Answers of other kinds, by the end of the path. */
  readonly broken = new Set<string>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  uri = '';

  static async start(): Promise<FakeServer> {
    const server = new FakeServer();
    server.uri = await listenAt(server.#server, '127.0.0.1', 0);
    return server;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url!.replace('/api/2.0/mlflow/', '');
    const text = (await request.toArray()).map(String).join('');
    const { authorization } = request.headers;
    const body = JSON.parse(text === '' ? '{}' : text) as Record<string, unknown>;
    this.asked.push({ path, body, ...(authorization !== undefined && { authorization }) });
    const isBroken = [...this.broken].some((end) => path.includes(end));
    const isMissing = path.startsWith('experiments/get-by-name');
    response.statusCode = isBroken ? 503 : isMissing ? 404 : 200;
    response.setHeader('connection', 'close');
    response.end(JSON.stringify({ experiment_id: '7', run: { info: { run_id: 'r1' } } }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}

describe('MlflowLogger', () => {
  it('keeps every parameter and metric in its folder, whatever its name is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('..', '.', '', '/', '\\', 'a', '\0', '\x1b', 'é', ' ')),
        async (parts) => {
          using folder = new TemporaryDirectory();
          const root = join(folder.path, 'mlruns');
          const key = parts.join('/').slice(0, 200);
          const logger = new MlflowLogger(
            { ...run, config: { [key]: 1 } },
            { MLFLOW_TRACKING_URI: root },
            now,
          );
          await logger.log(1, { [key]: 1 });
          await logger.finish('finished');
          assert.deepEqual(readdirSync(folder.path), ['mlruns']);
          const [experiment] = readdirSync(root);
          assert.deepEqual(
            readdirSync(join(root, experiment!)).filter(
              (name) => !/^([0-9a-f]{32}|meta\.yaml)$/.test(name),
            ),
            [],
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  it('takes user and password out of the address, and shows them to the server alone', async () => {
    await using server = await FakeServer.start();
    const uri = server.uri.replace('//', '//me:p%40ss@');
    const logger = new MlflowLogger(run, { MLFLOW_TRACKING_URI: uri }, now);
    await logger.finish('finished');
    assert.equal(server.asked[0]!.authorization, `Basic ${btoa('me:p@ss')}`);
    const unreachable = uri.replace(/:\d+$/, ':1024');
    const { loggers, notes } = opened(['mlflow'], '', { MLFLOW_TRACKING_URI: unreachable });
    await loggers.finish('finished');
    assert.match(notes.join(), /ECONNREFUSED/);
    assert.doesNotMatch(notes.join(), /p%40ss/);
  });

  it('makes experiment and run on a server, and logs parameters and metrics by step', async () => {
    await using server = await FakeServer.start();
    const environment = {
      MLFLOW_TRACKING_URI: `${server.uri}/`,
      MLFLOW_EXPERIMENT_NAME: 'chest',
      MLFLOW_TRACKING_TOKEN: 'secret',
    };
    const logger = new MlflowLogger(run, environment, now);
    await logger.log(1, { 'actor/loss': 0.5, 'actor/grad_norm': NaN });
    await logger.finish('finished');
    const [get, experiment, created, params, metrics, end] = server.asked;
    assert.equal(get!.path, 'experiments/get-by-name?experiment_name=chest');
    assert.equal(get!.authorization, 'Bearer secret');
    assert.deepEqual(experiment!.body, { name: 'chest' });
    assert.equal(created!.path, 'runs/create');
    assert.deepEqual(
      [created!.body['experiment_id'], created!.body['run_name'], created!.body['start_time']],
      ['7', 'nightly', now()],
    );
    assert.deepEqual(params!.body, {
      run_id: 'r1',
      params: [
        { key: 'trainer/seed', value: '1' },
        { key: 'trainer/logger', value: '["mlflow"]' },
        { key: 'long', value: 'x'.repeat(6000) },
      ],
    });
    assert.deepEqual(metrics!.body, {
      run_id: 'r1',
      metrics: [
        { key: 'actor/loss', value: 0.5, timestamp: now(), step: 1 },
        { key: 'actor/grad_norm', value: 'NaN', timestamp: now(), step: 1 },
      ],
    });
    assert.equal(end!.path, 'runs/update');
    assert.deepEqual(end!.body, { run_id: 'r1', status: 'FINISHED', end_time: now() });
    assert.equal(server.asked.length, 6);
  });

  it('sends what could not be sent with what comes next', async () => {
    await using server = await FakeServer.start();
    const logger = new MlflowLogger(run, { MLFLOW_TRACKING_URI: server.uri }, now);
    server.broken.add('log-batch');
    await assert.rejects(logger.log(1, { a: 1 }), /log-batch answered 503/);
    server.broken.clear();
    await logger.log(2, { a: 2 });
    assert.equal(server.asked.filter(({ path }) => path === 'runs/create').length, 1);
    const last = server.asked.at(-1)!.body['metrics'] as { step: number; value: number }[];
    assert.deepEqual(
      last.map(({ step, value }) => [step, value]),
      [
        [1, 1],
        [2, 2],
      ],
    );
  });

  it("keeps a run in MLflow's file store without a server", async () => {
    using folder = new TemporaryDirectory();
    const root = join(folder.path, 'mlruns');
    for (const score of [0.5, 1]) {
      const logger = new MlflowLogger(run, { MLFLOW_TRACKING_URI: `file://${root}` }, now);
      await logger.log(1, { 'val/reward_score': score });
      await logger.log(2, { 'val/reward_score': NaN });
      await logger.finish('failed');
    }
    assert.deepEqual(readdirSync(root), ['0']);
    const names = readdirSync(join(root, '0')).filter((name) => name !== 'meta.yaml');
    assert.equal(names.length, 2);
    const metrics = names.map((id) =>
      readFileSync(join(root, '0', id, 'metrics/val/reward_score'), 'utf8'),
    );
    assert.deepEqual(metrics.sort(), [
      `${now()} 0.5 1\n${now()} NaN 2\n`,
      `${now()} 1 1\n${now()} NaN 2\n`,
    ]);
    const [id = ''] = names;
    assert.equal(readFileSync(join(root, '0', id, 'params/trainer/seed'), 'utf8'), '1');
    assert.equal(readFileSync(join(root, '0', id, 'tags/mlflow.runName'), 'utf8'), 'nightly');
    const meta = readFileSync(join(root, '0', id, 'meta.yaml'), 'utf8');
    assert.match(meta, new RegExp(`^artifact_uri: file://${root}/0/${id}/artifacts$`, 'm'));
    assert.match(meta, /^status: 4$/m);
    assert.match(meta, /^run_name: nightly$/m);
    assert.match(readFileSync(join(root, '0/meta.yaml'), 'utf8'), /^name: Default$/m);
  });
});

describe('a logger that fails', () => {
  it('is told of once, stops nothing, and the others go on', async () => {
    using folder = new TemporaryDirectory();
    const { loggers, notes } = opened(['mlflow', 'tensorboard', 'file'], folder.path, {
      MLFLOW_TRACKING_URI: 'http://127.0.0.1:9', // nobody listens at the discard port
      TENSORBOARD_DIR: folder.write('a-file', ''),
    });
    loggers.log(1, { a: 1 });
    loggers.log(2, { a: 2 });
    await loggers.finish('finished');
    assert.equal(notes.length, 2);
    assert.match(notes[0]!, /^warning: trainer\.logger: tensorboard fails and is gone on without/);
    assert.match(notes[1]!, /^warning: trainer\.logger: mlflow fails .*: fetch failed/);
    const log = readFileSync(join(folder.path, 'experiment_log.jsonl'), 'utf8');
    assert.equal(log, '{"step":1,"a":1}\n{"step":2,"a":2}\n');
  });

  it('is not missed when its variable says so', () => {
    using folder = new TemporaryDirectory();
    const disabled = { WANDB_MODE: 'disabled', SWANLAB_MODE: 'disabled' };
    assert.deepEqual(opened(['wandb', 'swanlab'], folder.path, disabled).notes, []);
  });

  it("writes into the run's folder where no variable says otherwise, as the other loggers do", async () => {
    using folder = new TemporaryDirectory();
    const names = ['mlflow', 'swanlab', 'tensorboard', 'wandb'] as const;
    const { loggers } = opened(names, folder.path, {});
    loggers.log(1, { loss: 0.5 });
    await loggers.finish('finished');
    const folders = ['mlruns', 'swanlab_log', 'tensorboard_log', 'wandb'];
    assert.deepEqual(readdirSync(folder.path).sort(), folders);
  });
});
