/**
 * The dashboard over a long run: 10,000 steps of 100 metrics, and 100,000 samples.
 *
 * `first` is the first answer, for which the file is read as a whole; `again` is one that finds nothing new. A look is
 * what the events of a running run cost, once a second, while a page listens.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { runControl } from '../../actors/run-folder/requests.ts';
import type { MetricList, RunList, SeriesList } from '../../src/dashboard/api.ts';
import type { SampleSteps, SamplePage } from '../../src/dashboard/api-samples.ts';
import { Runs } from '../../src/dashboard/runs.ts';
import { Dashboard } from '../../src/dashboard/server.ts';
import { madeValue, metricName, writeMadeRun } from '../support/made-run.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { print } from './harness.ts';

const params = { steps: 10_000, metrics: 100, samples: 100_000 };
const TOKEN = 'a-token-of-the-bench';
const ROUNDS = 7;

export async function benchDashboard(): Promise<void> {
  using temporary = new TemporaryDirectory();
  const folder = join(temporary.path, 'run');
  const { steps, metrics, samples } = params;
  writeMadeRun(folder, { steps, metrics, samples: samples / steps, valFreq: steps });
  const before = process.memoryUsage.rss();
  await using dashboard = new Dashboard({
    ...{ folders: [folder], control: runControl, token: TOKEN },
    onError: (error) => assert.fail(String(error)),
  });
  const { origin } = new URL(await dashboard.listen('127.0.0.1', 0));
  const headers = { authorization: `Bearer ${TOKEN}` };
  const get = async <T>(path: string): Promise<T> =>
    (await (await fetch(`${origin}/api/${path}`, { headers })).json()) as T;
  const { runs } = await get<RunList>('runs');
  const run = `runs/${runs[0]!.id}`;

  const list = await timed('metrics', () => get<MetricList>(`${run}/metrics`));
  assert.equal(list.metrics.length, metrics);
  const series = await timed('series', () =>
    get<SeriesList>(`${run}/series?name=${metricName(1)}&points=2000`),
  );
  const [one] = series.series;
  assert.deepEqual([one!.count, one!.steps.at(-1)], [steps, steps]);
  assert.equal(one!.values.at(-1), madeValue(1, steps));
  const index = await timed('samples', () => get<SampleSteps>(`${run}/samples?kind=rollout`));
  assert.equal(
    index.counts.reduce((sum, count) => sum + count, 0),
    samples,
  );
  const page = await timed('page', () =>
    get<SamplePage>(`${run}/samples/page?step=${steps / 2}&count=50`),
  );
  assert.equal(page.samples.length, samples / steps);
  const history = `${run}/samples/prompt?count=10&prompt=${encodeURIComponent('train.jsonl:1')}`;
  await timed('prompt', () => get(history));
  const [view] = await new Runs([folder], runControl).find();
  await view!.changes();
  await timed('look', () => view!.changes());
  const memory = (process.memoryUsage.rss() - before) / 2 ** 20;
  print({ name: 'dashboard.memory', params, unit: 'MiB' }, [memory]);
}

/** Prints the milliseconds of a first call and of later ones. @returns what the first one gave */
async function timed<T>(name: string, call: () => Promise<T>): Promise<T> {
  const times: number[] = [];
  let first: T | undefined;
  for (let round = 0; round <= ROUNDS; round++) {
    const started = performance.now();
    const result = await call();
    times.push(performance.now() - started);
    first ??= result;
  }
  print({ name: `dashboard.${name}.first`, params, unit: 'ms' }, times.slice(0, 1));
  print({ name: `dashboard.${name}.again`, params, unit: 'ms' }, times.slice(1));
  return first!;
}
