import { randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseYaml, toYaml } from '../config/yaml.ts';
import { readWholeSync } from '../files.ts';
import type { MetricPoint, NewRun, RunStore } from './mlflow-store.ts';

const ACTIVE = 'active';
const META = 'meta.yaml';
const DEFAULT_ID = '0';
/** MLflow's numbers for the status of a run, and for a source that is a local program. */
const statuses = { RUNNING: 1, FINISHED: 3, FAILED: 4 } as const;
const LOCAL_SOURCE = 4;

/** A run in MLflow's file store, `mlruns/<experiment>/<run>`, which `mlflow ui` shows. */
export class FileStore implements RunStore {
  readonly #root: string;
  #folder = '';
  #meta: Record<string, unknown> = {};

  constructor(root: string) {
    this.#root = resolve(root);
  }

  begin({ name, experiment, startTime, params }: NewRun): void {
    const experimentId = this.#experiment(experiment, startTime);
    const id = randomUUID().replaceAll('-', '');
    this.#folder = join(this.#root, experimentId, id);
    for (const part of ['artifacts', 'metrics', 'params', 'tags']) {
      mkdirSync(join(this.#folder, part), { recursive: true });
    }
    this.#meta = {
      artifact_uri: pathToFileURL(join(this.#folder, 'artifacts')).href,
      end_time: null,
      entry_point_name: '',
      experiment_id: experimentId,
      lifecycle_stage: ACTIVE,
      run_id: id,
      run_name: name,
      run_uuid: id,
      source_name: '',
      source_type: LOCAL_SOURCE,
      source_version: '',
      start_time: startTime,
      status: statuses.RUNNING,
      tags: [],
      user_id: userInfo().username,
    };
    this.#writeMeta();
    this.#write('tags', 'mlflow.runName', name);
    this.#write('tags', 'mlflow.source.name', 'cxmind');
    for (const [key, value] of params) this.#write('params', key, value);
  }

  metrics(points: readonly MetricPoint[]): void {
    for (const { key, value, timestamp, step } of points) {
      const file = join(this.#folder, 'metrics', key);
      mkdirSync(dirname(file), { recursive: true });
      appendFileSync(file, `${timestamp} ${value} ${step}\n`);
    }
  }

  end(status: 'FINISHED' | 'FAILED', endTime: number): void {
    this.#meta = { ...this.#meta, status: statuses[status], end_time: endTime };
    this.#writeMeta();
  }

  /** The name of an experiment's folder, which is made where it is missing. */
  #experiment(name: string, now: number): string {
    mkdirSync(this.#root, { recursive: true });
    const found = readdirSync(this.#root).find((id) => this.#nameOf(id) === name);
    if (found !== undefined) return found;
    const id = name === 'Default' ? DEFAULT_ID : String(BigInt(now) * 1_000_000n);
    const folder = join(this.#root, id);
    mkdirSync(folder, { recursive: true });
    const meta = {
      artifact_location: pathToFileURL(folder).href,
      creation_time: now,
      experiment_id: id,
      last_update_time: now,
      lifecycle_stage: ACTIVE,
      name,
    };
    writeFileSync(join(folder, META), `${toYaml(meta)}\n`);
    return id;
  }

  #nameOf(id: string): unknown {
    const file = join(this.#root, id, META);
    if (!existsSync(file)) return undefined;
    const { value } = parseYaml(readWholeSync(file).toString(), { file });
    return (value as { name?: unknown } | null)?.name;
  }

  #write(kind: 'params' | 'tags', key: string, value: string): void {
    const file = join(this.#folder, kind, key);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, value);
  }

  #writeMeta(): void {
    writeFileSync(join(this.#folder, META), `${toYaml(this.#meta)}\n`);
  }
}
