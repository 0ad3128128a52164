import { hash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Generation, MetricLogger, RunDescription, RunEnd } from './logger.ts';
import { encoderOf, type Messages } from '../protobuf.ts';
import { localStamp, randomId, RecordLog, timestampOf, Timestamp } from './offline-run.ts';

/** The records of wandb's `wandb_internal.proto`, with the fields that are written here. */
const messages: Messages = {
  Timestamp,
  Record: {
    num: ['int64', 1],
    history: ['History', 2],
    summary: ['Items', 3],
    files: ['Files', 6],
    run: ['Run', 17],
    exit: ['Exit', 18],
    final: ['Empty', 20],
    header: ['Header', 21],
    footer: ['Empty', 22],
  },
  Empty: {},
  Header: { versionInfo: ['VersionInfo', 1] },
  VersionInfo: { producer: ['string', 1], minConsumer: ['string', 2] },
  Run: {
    runId: ['string', 1],
    entity: ['string', 2],
    project: ['string', 3],
    config: ['Items', 4],
    displayName: ['string', 8],
    startTime: ['Timestamp', 17],
  },
  Items: { update: ['Item', 1, 'repeated'] },
  Item: { key: ['string', 1], nestedKey: ['string', 2, 'repeated'], valueJson: ['string', 16] },
  History: { item: ['Item', 1, 'repeated'], step: ['Step', 2] },
  Step: { num: ['int64', 1] },
  Files: { files: ['File', 1, 'repeated'] },
  File: { path: ['string', 1], policy: ['int32', 2], type: ['int32', 3] },
  Exit: { exitCode: ['int32', 1], runtime: ['int32', 2] },
};

const header = { ident: ':W&B', magic: 0xbee1, version: 0 };
/** The release whose format this is, and the oldest that reads it. */
const versionInfo = { producer: '0.30.0', minConsumer: '0.40.0' };
const MEDIA = 2;
const GENERATIONS = 'val/generations';

/**
 * A run of Weights & Biases in its offline form, `<root>/wandb/offline-run-*`; `wandb sync` uploads it.
 *
 * There is no maintained client for JavaScript, so nothing is sent from here.
 */
export class WandbLogger implements MetricLogger {
  /** Folder that `wandb sync` takes. */
  readonly folder: string;
  readonly #encode = encoderOf(messages, 'Record');
  readonly #log: RecordLog;
  readonly #started: number;
  readonly #now: () => number;
  readonly #summary: Record<string, unknown> = {};
  /** Rows of the table of answers. It is written whole each time. */
  readonly #rows: (string | number)[][] = [];
  #records = 0;

  /**
   * @param options.root   `WANDB_DIR`
   * @param options.entity `WANDB_ENTITY`
   * @param options.id     `WANDB_RUN_ID`; a new one unless given
   */
  constructor(
    run: RunDescription,
    options: {
      readonly root: string;
      readonly entity?: string | undefined;
      readonly id?: string | undefined;
    },
    now: () => number = Date.now,
  ) {
    const id = options.id ?? randomId(8);
    this.#now = now;
    this.#started = now();
    this.folder = join(options.root, 'wandb', `offline-run-${localStamp(this.#started)}-${id}`);
    mkdirSync(join(this.folder, 'files'), { recursive: true });
    this.#log = new RecordLog(join(this.folder, `run-${id}.wandb`), header);
    this.#append({ header: { versionInfo } });
    this.#append({
      run: {
        runId: id,
        entity: options.entity ?? '',
        project: run.project,
        displayName: run.experiment,
        startTime: timestampOf(this.#started),
        config: { update: items(run.config) },
      },
    });
  }

  log(step: number, values: Readonly<Record<string, unknown>>): void {
    const seconds = this.#now() / 1000;
    const row = {
      ...values,
      _step: step,
      _timestamp: seconds,
      _runtime: seconds - this.#started / 1000,
    };
    Object.assign(this.#summary, row);
    this.#append({ history: { item: items(row), step: { num: step } } });
    this.#append({ summary: { update: items(this.#summary) } });
  }

  logGenerations(step: number, generations: readonly Generation[]): void {
    const columns = ['step', ...generations.flatMap((_, i) => columnsOf(i + 1))];
    this.#rows.push([
      step,
      ...generations.flatMap(({ input, output, label, score }) => [input, output, label, score]),
    ]);
    const table = JSON.stringify({ columns, data: this.#rows });
    const sha256 = hash('sha256', table);
    const name = `generations_${step}_${sha256.slice(0, 20)}.table.json`;
    const path = join('media', 'table', 'val', name);
    const file = join(this.folder, 'files', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, table);
    this.#append({ files: { files: [{ path, type: MEDIA }] } });
    this.log(step, {
      [GENERATIONS]: {
        _type: 'table-file',
        path,
        sha256,
        size: Buffer.byteLength(table),
        ncols: columns.length,
        nrows: this.#rows.length,
      },
    });
  }

  finish(end: RunEnd): void {
    const runtime = Math.round((this.#now() - this.#started) / 1000);
    this.#append({ exit: { exitCode: end === 'finished' ? 0 : 1, runtime } });
    this.#append({ final: {} });
    this.#append({ footer: {} });
    this.#log.close();
  }

  #append(record: object): void {
    this.#log.append(this.#encode({ num: ++this.#records, ...record }));
  }
}

function columnsOf(i: number): string[] {
  return [`input_${i}`, `output_${i}`, `label_${i}`, `score_${i}`];
}

function items(values: Readonly<Record<string, unknown>>): object[] {
  return Object.entries(values).map(([key, value]) => ({ key, valueJson: wandbJson(value) }));
}

/** JSON with wandb's words for numbers that JSON cannot write. */
function wandbJson(value: unknown): string {
  if (typeof value !== 'number' || Number.isFinite(value)) return JSON.stringify(value);
  if (Number.isNaN(value)) return '"NaN"';
  return value > 0 ? '"Infinity"' : '"-Infinity"';
}
