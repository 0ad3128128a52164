import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import sharp from 'sharp';
import { RunLock } from '../../../actors/run-folder/lock.ts';
import { RequestBox, runControl } from '../../../actors/run-folder/requests.ts';
import type {
  ConfigTable,
  LogPage,
  MetricList,
  RequestList,
  RunDetail,
  RunList,
  SeriesList,
  StepTimeline,
} from '../../../src/dashboard/api.ts';
import type { RunRequest } from '../../../src/dashboard/run-files.ts';
import type {
  PromptHistory,
  SampleDetail,
  SampleSteps,
  SamplePage,
  ValidationReport,
} from '../../../src/dashboard/api-samples.ts';
import { Dashboard } from '../../../src/dashboard/server.ts';
import { jsonLines } from '../../support/json-lines.ts';
import {
  madeValue,
  metricLine,
  metricName,
  sampleLine,
  writeMadeRun,
} from '../../support/made-run.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const token = 'a-token-of-the-test';
const STEPS = 40;

describe('a dashboard', () => {
  let temporary: TemporaryDirectory;
  let dashboard: Dashboard;
  let origin: string;
  let run: string;
  let folder: string;
  const errors: unknown[] = [];

  before(async () => {
    temporary = new TemporaryDirectory();
    folder = join(temporary.path, 'one');
    writeMadeRun(folder, { steps: STEPS });
    writeMadeRun(join(temporary.path, 'other'), { steps: 5, status: { state: 'done' } });
    dashboard = new Dashboard({
      folders: [temporary.path],
      control: runControl,
      token,
      onError: (error) => errors.push(error),
      lookMs: 20,
    });
    origin = new URL(await dashboard.listen('127.0.0.1', 0)).origin;
    run = (await get<RunList>('runs')).runs.find(({ name }) => name === 'one')!.id;
  });
  after(async () => {
    await dashboard[Symbol.asyncDispose]();
    temporary[Symbol.dispose]();
    assert.deepEqual(errors, []);
  });

  const headers = { authorization: `Bearer ${token}` };
  const get = async <T>(path: string): Promise<T> => {
    const response = await fetch(`${origin}/api/${path}`, { headers });
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as T;
  };
  const statusOf = async (path: string): Promise<number> => {
    const response = await fetch(`${origin}${path}`, { headers });
    await response.arrayBuffer();
    return response.status;
  };

  it('says of a port that is in use how to get another', async () => {
    await using second = new Dashboard({
      folders: [],
      control: runControl,
      token,
      onError: (error) => errors.push(error),
    });
    const port = Number(new URL(origin).port);
    await assert.rejects(second.listen('127.0.0.1', port), {
      code: 'CONFIG_INVALID',
      message: `port ${port} of 127.0.0.1 is in use; name another by --port, or 0 for a free one`,
    });
  });

  it('lists the runs of a folder, dead where nobody writes them any more', async () => {
    const { runs } = await get<RunList>('runs');
    const shown = runs.map(({ name, state, step, steps }) => ({ name, state, step, steps }));
    assert.deepEqual(shown, [
      { name: 'one', state: 'dead', step: STEPS, steps: 2 * STEPS },
      { name: 'other', state: 'done', step: 5, steps: 10 },
    ]);
    const { listing, warnings } = await get<RunDetail>(`runs/${run}`);
    assert.deepEqual([listing.state, listing.takesRequests], ['dead', false]);
    assert.equal(warnings.length, STEPS / 4);
    assert.equal(warnings[0]!.text, 'warning: row 3 is odd');
  });

  it('reads the status of a run of an older version, which tells of no device’s memory', async () => {
    const { runs } = await get<RunList>('runs');
    const { id, folder: older } = runs.find(({ name }) => name === 'other')!;
    const { status } = await get<RunDetail>(`runs/${id}`);
    const { deviceMemory, ...others } = status!;
    assert.deepEqual(deviceMemory.length, 1);
    writeFileSync(join(older, 'status.json'), JSON.stringify(others));
    assert.deepEqual((await get<RunDetail>(`runs/${id}`)).status, { ...others, deviceMemory: [] });
  });

  it('gives a metric whole, behind a step, and reduced with its extremes', async () => {
    const { metrics, lastStep } = await get<MetricList>(`runs/${run}/metrics`);
    assert.deepEqual([metrics.length, lastStep], [4, STEPS]);
    const name = metricName(1);
    const all = await get<SeriesList>(`runs/${run}/series?name=${name}&name=${metricName(2)}`);
    const [one, gappy] = all.series;
    assert.deepEqual(
      one!.steps,
      Array.from({ length: STEPS }, (_, i) => i + 1),
    );
    assert.deepEqual(
      one!.values,
      one!.steps.map((step) => madeValue(1, step)),
    );
    assert.equal(gappy!.values[0], null);
    const later = await get<SeriesList>(`runs/${run}/series?name=${name}&after=${STEPS - 2}`);
    assert.deepEqual(later.series[0]!.steps, [STEPS - 1, STEPS]);
    const few = (await get<SeriesList>(`runs/${run}/series?name=${name}&points=8`)).series[0]!;
    assert.ok(few.isReduced && few.count === STEPS && few.steps.length <= 8);
    assert.equal(Math.max(...few.values.map(Number)), Math.max(...one!.values.map(Number)));
    assert.equal(Math.min(...few.values.map(Number)), Math.min(...one!.values.map(Number)));
    assert.deepEqual([few.steps[0], few.steps.at(-1)], [1, STEPS]);
  });

  it('gives the timeline of a step with what each message waited for', async () => {
    const timeline = await get<StepTimeline>(`runs/${run}/timeline`);
    assert.deepEqual([timeline.step, timeline.firstStep, timeline.lastStep], [STEPS, 1, STEPS]);
    assert.deepEqual(timeline.lanes, ['trainer', 'learner/0', 'reward/0', 'rollout/0']);
    const scores = timeline.spans.filter(({ name }) => name === 'score');
    assert.deepEqual(
      scores.map(({ sent, start, isFailed }) => [sent, start, isFailed]),
      [
        [595, 600, false],
        [595, 650, true],
      ],
    );
    assert.equal(await get(`runs/${run}/timeline?step=900`), null);
  });

  it('pages the samples of a step, shows one with its steps judged, and follows a prompt', async () => {
    const index = await get<SampleSteps>(`runs/${run}/samples?kind=rollout`);
    assert.deepEqual(index.kinds, ['rollout', 'validation']);
    assert.deepEqual([index.steps.length, index.counts[0], index.means[0]], [STEPS, 8, 0.55]);
    const page = await get<SamplePage>(`runs/${run}/samples/page?step=7&start=6&count=50`);
    assert.deepEqual([page.total, page.samples.map(({ row }) => row)], [8, [6, 7]]);
    assert.deepEqual(page.samples[0]!.parts, { format: 1, accuracy: 1 });
    const wrong = await get<SampleDetail>(`runs/${run}/samples/one?step=7&row=1`);
    assert.equal(wrong.output, sampleLine(7, 1).output);
    assert.deepEqual([wrong.conclusion, wrong.referenceConclusion], [['B'], ['A']]);
    assert.deepEqual(
      wrong.reasoning.map(({ claim, isRight }) => [claim, isRight]),
      [
        [true, false],
        [null, null],
      ],
    );
    const prompt = encodeURIComponent(wrong.promptId);
    const history = await get<PromptHistory>(
      `runs/${run}/samples/prompt?prompt=${prompt}&start=2&count=4`,
    );
    assert.equal(history.total, 4 * STEPS);
    assert.deepEqual(
      history.samples.map(({ step, row }) => [step, row]),
      [
        ...[
          [1, 2],
          [1, 3],
        ],
        ...[
          [2, 0],
          [2, 1],
        ],
      ],
    );
    const none = await get<SampleSteps>(`runs/${run}/samples?kind=evaluation`);
    assert.match(none.hint!, /cxmind eval/);
  });

  it('reports a validation by option, with its confusion matrix', async () => {
    assert.equal(await get(`runs/${run}/validation?step=900`), null);
    const report = await get<ValidationReport>(`runs/${run}/validation`);
    assert.deepEqual([report.step, report.task, report.isWhole], [STEPS, 'closed', true]);
    assert.deepEqual(report.options, [
      { name: 'A', answers: 4, right: 2 },
      { name: 'B', answers: 4, right: 2 },
    ]);
    assert.deepEqual(report.matrix, {
      rows: ['A', 'B', 'C'],
      columns: ['A', 'B', 'C'],
      counts: [
        [2, 2, 0],
        [0, 2, 2],
        [0, 0, 0],
      ],
    });
    assert.equal(report.processAccuracy, 0.5);
  });

  it('gives the log by pages from both ends, and by level', async () => {
    const last = await get<LogPage>(`runs/${run}/log?count=3`);
    assert.deepEqual(
      last.lines.map(({ fields }) => fields['step'] ?? fields['text']),
      [...[38, 39, 'warning: row 39 is odd']],
    );
    const before = await get<LogPage>(`runs/${run}/log?count=2&before=${last.before}`);
    assert.deepEqual(
      before.lines.map(({ fields }) => fields['step']),
      [undefined, 37],
    );
    const warnings = await get<LogPage>(`runs/${run}/log?level=warn&count=100`);
    assert.deepEqual([warnings.lines.length, warnings.before], [STEPS / 4, null]);
    const after = await get<LogPage>(`runs/${run}/log?after=${last.lines[1]!.offset}&count=1`);
    assert.deepEqual(after.lines, [last.lines[1]]);
    assert.deepEqual((await get<LogPage>(`runs/${run}/log?after=${last.after}`)).lines, []);
  });

  it('sets configs side by side, without what is secret', async () => {
    const other = (await get<RunList>('runs')).runs.find(({ name }) => name === 'other')!.id;
    const { rows } = await get<ConfigTable>(`config?run=${run}&run=${other}`);
    const of = (key: string) => rows.find((row) => row.key === key);
    assert.deepEqual(of('trainer.seed'), {
      key: 'trainer.seed',
      values: [STEPS, 5],
      differs: true,
    });
    assert.equal(of('data.rollout_batch_size')!.differs, false);
    assert.deepEqual(of('worker.reward.judge.api_key')!.values, ['***', '***']);
  });

  it('shows pictures that records name, encoded anew, and nothing else', async () => {
    const made = join(temporary.path, 'pictures');
    writeMadeRun(made, { steps: 1 });
    const picture = join(temporary.path, 'x.png');
    const create = { width: 8, height: 6, channels: 3, background: '#804020' } as const;
    await sharp({ create }).png().toFile(picture);
    const lines = [
      { ...sampleLine(1, 0), images: [picture, '../config.json', '/etc/passwd'] },
      sampleLine(1, 1),
    ];
    writeFileSync(join(made, 'rollouts/1.jsonl'), jsonLines(...lines));
    const { runs } = await get<RunList>('runs');
    const path = `/api/runs/${runs.find(({ name }) => name === 'pictures')!.id}/samples/picture?step=1&row=`;
    const response = await fetch(`${origin}${path}0&picture=0`, { headers });
    assert.equal(response.headers.get('content-type'), 'image/jpeg');
    const { width, height } = await sharp(Buffer.from(await response.arrayBuffer())).metadata();
    assert.deepEqual([width, height], [8, 6]);
    for (const other of ['0&picture=1', '0&picture=2', '0&picture=3', '1&picture=0', '9']) {
      assert.equal(await statusOf(`${path}${other}`), 404, other);
    }
    rmSync(made, { recursive: true });
  });

  it('is closed without the token, and takes that of its URL as a cookie', async () => {
    const answer = async (path: string, given: Record<string, string>): Promise<Response> => {
      const response = await fetch(`${origin}${path}`, { headers: given, redirect: 'manual' });
      await response.arrayBuffer();
      return response;
    };
    for (const path of ['/', '/main.js', '/api/runs', '/api/events', `/api/runs/${run}`]) {
      assert.equal((await answer(path, {})).status, 401, path);
      assert.equal((await answer(`${path}?token=wrong`, {})).status, 401, path);
    }
    const opened = await answer(`/?token=${token}`, {});
    assert.deepEqual([opened.status, opened.headers.get('location')], [303, '/']);
    const cookie = opened.headers.get('set-cookie')!;
    assert.match(cookie, /; Path=\/; HttpOnly; SameSite=Strict$/);
    const allowed = await answer('/api/runs', { cookie: cookie.split(';')[0]! });
    assert.equal(allowed.status, 200);
    assert.match(
      allowed.headers.get('content-security-policy')!,
      /default-src 'none'.*frame-ancestors 'none'/,
    );
  });

  it('refuses names of other hosts and requests of other pages', async () => {
    const { hostname, port } = new URL(origin);
    const send = (
      given: Record<string, string>,
      method = 'GET',
      path = '/api/runs',
    ): Promise<number> =>
      new Promise((resolve, reject) => {
        const sent = request(
          { hostname, port, path, method, headers: { ...headers, ...given } },
          (response) => {
            response.resume();
            resolve(response.statusCode!);
          },
        );
        sent.on('error', reject).end(method === 'POST' ? '{"kind":"save"}' : undefined);
      });
    assert.equal(await send({ host: `evil.example:${port}` }), 421);
    assert.equal(await send({ host: `localhost:${port}` }), 200);
    const path = `/api/runs/${run}/requests`;
    const json = { 'content-type': 'application/json', host: `localhost:${port}` };
    assert.equal(await send({ ...json, origin: 'http://evil.example' }, 'POST', path), 403);
    assert.equal(await send({ ...json, 'content-type': 'text/plain' }, 'POST', path), 403);
    // The run is dead, which is the last thing to be wrong.
    assert.equal(await send({ ...json, origin: `http://localhost:${port}` }, 'POST', path), 409);
    assert.equal(await send(json, 'DELETE', path), 405);
    assert.equal(await statusOf('/api/runs/none'), 404);
    assert.equal(await statusOf('/..%2f..%2fpackage.json'), 404);
    assert.equal(await statusOf(`/api/runs/${run}/log?level=loud`), 400);
  });

  it('hands requests to a run that lives, and tells what comes of them', async () => {
    await using _ = await RunLock.take(folder);
    const save = (): Promise<Response> =>
      fetch(`${origin}/api/runs/${run}/requests`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: '{"kind":"save"}',
      });
    // A warm start holds the folder, too, and would never answer.
    const before = await get<RunDetail>(`runs/${run}`);
    assert.deepEqual([before.listing.state, before.listing.takesRequests], ['running', false]);
    assert.equal((await save()).status, 409);
    const box = await RequestBox.open(folder);
    assert.equal((await get<RunDetail>(`runs/${run}`)).listing.takesRequests, true);
    const response = await save();
    const { id, state } = (await response.json()) as RunRequest;
    assert.deepEqual([response.status, state], [202, 'waiting']);
    const [asked] = await runControl.requests(folder);
    assert.equal(asked!.id, id);
    await box[Symbol.asyncDispose]();
    const { requests } = await get<RequestList>(`runs/${run}/requests`);
    assert.deepEqual([requests[0]!.state, requests[0]!.id], ['failed', id]);
  });

  it('tells every listener what has come since, of lines that are whole alone', async () => {
    const opened = await Promise.all([listen(), listen()]);
    for (const events of opened) assert.equal((await events.next()).type, 'runs');
    const line = metricLine(STEPS + 1, 4);
    appendFileSync(join(folder, 'metrics.jsonl'), line.slice(0, 20));
    appendFileSync(join(folder, 'metrics.jsonl'), line.slice(20));
    for (const events of opened) {
      await events.until(
        (event) => event.type === 'grown' && event.what === 'metrics' && event.upTo === STEPS + 1,
      );
    }
    // A resumed run writes its lines anew.
    const { generation } = await get<MetricList>(`runs/${run}/metrics`);
    truncateSync(
      join(folder, 'metrics.jsonl'),
      readFileSync(join(folder, 'metrics.jsonl')).length - line.length,
    );
    await opened[0].until(
      (event) => event.type === 'grown' && event.what === 'metrics' && event.upTo === STEPS,
    );
    assert.ok((await get<MetricList>(`runs/${run}/metrics`)).generation > generation);
    for (const events of opened) events.close();
  });

  interface SomeEvent {
    readonly type: string;
    readonly what?: string;
    readonly upTo?: number;
  }

  /** Listens to events as a page does. */
  async function listen() {
    const leave = new AbortController();
    const response = await fetch(`${origin}/api/events`, { headers, signal: leave.signal });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const next = async (): Promise<SomeEvent> => {
      for (;;) {
        const [, data, rest] =
          /^(?:(?:: |retry: \d+)\n\n)*event: \w+\ndata: (.*)\n\n([^]*)$/.exec(text) ?? [];
        if (data !== undefined) {
          text = rest!;
          return JSON.parse(data) as SomeEvent;
        }
        const { value } = await reader.read();
        text += value ?? assert.fail('the stream ended');
      }
    };
    const until = async (isWanted: (event: SomeEvent) => boolean): Promise<void> => {
      while (!isWanted(await next()));
    };
    return { next, until, close: () => leave.abort() };
  }
});
