import { join } from 'node:path';
import { localPath } from '../files.ts';
import type { Metrics } from '../metrics.ts';
import { FileStore } from './mlflow-files.ts';
import { RestStore } from './mlflow-rest.ts';
import type { MetricLogger, RunDescription, RunEnd } from './logger.ts';
import type { MetricPoint, MlflowEnvironment, NewRun, RunStore } from './mlflow-store.ts';
import { configText, flattened } from './nesting.ts';

/** Characters of a parameter's value that MLflow takes. */
const MAX_PARAM = 6000;
/** Points kept for a server that does not answer; the oldest go first. */
const MAX_UNSENT = 100_000;

/**
 * Logger of MLflow: a run named by the experiment, the config as flat parameters, metrics by step.
 *
 * Points that a server did not take are kept and sent with the next ones.
 */
export class MlflowLogger implements MetricLogger {
  readonly #store: RunStore;
  readonly #run: NewRun;
  readonly #now: () => number;
  #isBegun = false;
  #isSending = false;
  #unsent: MetricPoint[] = [];
  /** Resolves after the last sending, and never rejects. */
  #settled: Promise<unknown> = Promise.resolve();

  constructor(run: RunDescription, environment: MlflowEnvironment, now: () => number = Date.now) {
    this.#now = now;
    this.#store = storeOf(environment, run.folder);
    this.#run = {
      name: run.experiment,
      experiment: environment.MLFLOW_EXPERIMENT_NAME ?? 'Default',
      startTime: now(),
      params: Object.entries(flattened(run.config)).map(
        ([key, value]) => [nameOf(key), configText(value).slice(0, MAX_PARAM)] as const,
      ),
    };
  }

  /**
   * Sends the points, unless others are being sent. Then they wait for the next call, so that a server that hangs has one
   * request at a time.
   */
  async log(step: number, metrics: Metrics): Promise<void> {
    const timestamp = this.#now();
    for (const [key, value] of Object.entries(metrics)) {
      this.#unsent.push({ key: nameOf(key), value, timestamp, step });
    }
    this.#unsent.splice(0, this.#unsent.length - MAX_UNSENT);
    if (!this.#isSending) await this.#send();
  }

  async finish(end: RunEnd): Promise<void> {
    await this.#settled;
    await this.#send();
    await this.#store.end(end === 'finished' ? 'FINISHED' : 'FAILED', this.#now());
  }

  #send(): Promise<void> {
    this.#isSending = true;
    const sent = this.#sendAll().finally(() => (this.#isSending = false));
    this.#settled = sent.catch(() => undefined);
    return sent;
  }

  async #sendAll(): Promise<void> {
    if (!this.#isBegun) await this.#store.begin(this.#run);
    this.#isBegun = true;
    const points = [...this.#unsent];
    await this.#store.metrics(points);
    const sent = new Set(points);
    this.#unsent = this.#unsent.filter((point) => !sent.has(point));
  }
}

/** A key in the form that MLflow takes: a path of plain names, which cannot lead out of its folder. */
function nameOf(key: string): string {
  return key
    .replace(/[^\p{L}\p{N}_.\- /]/gu, '_')
    .split('/')
    .map((part) => (/^\.*$/.test(part) ? `_${part.slice(1)}` : part))
    .join('/');
}

function storeOf(environment: MlflowEnvironment, folder: string): RunStore {
  const uri = environment.MLFLOW_TRACKING_URI ?? '';
  if (/^https?:\/\//.test(uri)) return new RestStore(uri, environment);
  return new FileStore(
    uri === '' ? join(folder, 'mlruns') : localPath(uri.replace(/^file:(?!\/\/)/, '')),
  );
}
