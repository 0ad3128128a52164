import { attempt } from '../errors.ts';
import type { MetricPoint, MlflowEnvironment, NewRun, RunStore } from './mlflow-store.ts';

const TIMEOUT_MS = 10_000;
/** Limits of one `log-batch`. */
const MAX_METRICS = 1000;
const MAX_PARAMS = 100;

/** A run on a tracking server, over MLflow's REST API 2.0. */
export class RestStore implements RunStore {
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;
  #runId = '';

  constructor(uri: string, environment: MlflowEnvironment) {
    const { username, password } = new URL(uri);
    const inUri = username === '' ? {} : basic(decoded(username), decoded(password));
    const bare = uri.replace(/^(\w+:\/\/)[^/?#]*@/, '$1').replace(/\/+$/, '');
    this.#base = `${bare}/api/2.0/mlflow`;
    this.#headers = {
      'content-type': 'application/json',
      ...inUri,
      ...authorization(environment),
    };
  }

  async begin({ name, experiment, startTime, params }: NewRun): Promise<void> {
    if (this.#runId === '') this.#runId = await this.#create(name, experiment, startTime);
    for (const batch of batches(params, MAX_PARAMS)) {
      await this.#batch({ params: batch.map(([key, value]) => ({ key, value })) });
    }
  }

  async metrics(points: readonly MetricPoint[]): Promise<void> {
    for (const batch of batches(points, MAX_METRICS)) {
      await this.#batch({
        metrics: batch.map((point) => ({ ...point, value: protoJson(point.value) })),
      });
    }
  }

  async end(status: 'FINISHED' | 'FAILED', endTime: number): Promise<void> {
    await this.#post('runs/update', { run_id: this.#runId, status, end_time: endTime });
  }

  async #create(name: string, experiment: string, startTime: number): Promise<string> {
    const { run } = await this.#post<{ run: { info: { run_id: string } } }>('runs/create', {
      experiment_id: await this.#experimentId(experiment),
      run_name: name,
      start_time: startTime,
      tags: [
        { key: 'mlflow.runName', value: name },
        { key: 'mlflow.source.name', value: 'cxmind' },
      ],
    });
    return run.info.run_id;
  }

  #batch(content: object): Promise<unknown> {
    return this.#post('runs/log-batch', { run_id: this.#runId, ...content });
  }

  /** The id of the experiment with a name, which is made where it is missing. */
  async #experimentId(name: string): Promise<string> {
    const query = new URLSearchParams({ experiment_name: name });
    const response = await this.#fetch(`experiments/get-by-name?${query.toString()}`, {});
    if (response.ok) {
      const { experiment } = (await response.json()) as { experiment: { experiment_id: string } };
      return experiment.experiment_id;
    }
    if (response.status !== 404) throw await failure(response);
    const made = await this.#post<{ experiment_id: string }>('experiments/create', { name });
    return made.experiment_id;
  }

  async #post<T>(path: string, body: object): Promise<T> {
    const response = await this.#fetch(path, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw await failure(response);
    return (await response.json()) as T;
  }

  #fetch(path: string, init: RequestInit): Promise<Response> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    return fetch(`${this.#base}/${path}`, { ...init, headers: this.#headers, signal });
  }
}

async function failure(response: Response): Promise<Error> {
  const text = (await response.text()).slice(0, 200);
  return new Error(`${new URL(response.url).pathname} answered ${response.status}: ${text}`);
}

function authorization(environment: MlflowEnvironment): Record<string, string> {
  const { MLFLOW_TRACKING_USERNAME: user, MLFLOW_TRACKING_PASSWORD: password } = environment;
  const { MLFLOW_TRACKING_TOKEN: token } = environment;
  if (user !== undefined && password !== undefined) {
    return basic(user, password);
  }
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

function basic(user: string, password: string): Record<string, string> {
  const text = Buffer.from(`${user}:${password}`).toString('base64');
  return { authorization: `Basic ${text}` };
}

/** A part of a URL, decoded where its percent signs stand for characters. */
function decoded(part: string): string {
  return attempt(() => decodeURIComponent(part)) ?? part;
}

/** A double in the JSON form of protobuf, which has infinities and NaN as texts. */
function protoJson(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

function batches<T>(items: readonly T[], size: number): T[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, i) => items.slice(i * size, (i + 1) * size));
}
