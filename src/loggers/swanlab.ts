import { hash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { toYaml } from '../config/yaml.ts';
import type { Metrics } from '../metrics.ts';
import { printable } from '../printable.ts';
import type { Generation, MetricLogger, RunDescription, RunEnd } from './logger.ts';
import { encoderOf, type Messages } from '../protobuf.ts';
import { localStamp, randomId, RecordLog, timestampOf, Timestamp } from './offline-run.ts';

/** The records of SwanLab's protos, with the fields that are written here. */
const messages: Messages = {
  Timestamp,
  Record: {
    num: ['int64', 1],
    timestamp: ['Timestamp', 2],
    start: ['Start', 10],
    finish: ['Finish', 11],
    column: ['Column', 12],
    scalar: ['Scalar', 13],
    media: ['Media', 14],
    save: ['Save', 20],
  },
  Start: {
    project: ['string', 1],
    name: ['string', 4],
    id: ['string', 10],
    startedAt: ['Timestamp', 12],
  },
  Finish: { state: ['int32', 1], error: ['string', 2], finishedAt: ['Timestamp', 3] },
  Column: {
    columnClass: ['int32', 1],
    columnType: ['int32', 2],
    columnKey: ['string', 3],
    sectionName: ['string', 5],
    sectionType: ['int32', 6],
  },
  Scalar: {
    key: ['string', 1],
    step: ['int64', 2],
    type: ['int32', 3],
    timestamp: ['Timestamp', 4],
    value: ['ScalarValue', 5],
  },
  ScalarValue: { number: ['double', 1] },
  Media: {
    key: ['string', 1],
    step: ['int64', 2],
    type: ['int32', 3],
    timestamp: ['Timestamp', 4],
    value: ['MediaValue', 5],
  },
  MediaValue: { items: ['MediaItem', 1, 'repeated'] },
  MediaItem: {
    filename: ['string', 1],
    sha256: ['string', 2],
    size: ['int64', 3],
    caption: ['string', 4],
  },
  Save: { name: ['string', 1], sourcePath: ['string', 2], type: ['int32', 5] },
};

const header = { ident: ':SWL', magic: 0xe1d6, version: 2 };
/** Numbers of the records that a run has one of. */
const nums = { start: -1, finish: -2, config: -3 } as const;
const columnTypes = { scalar: 1, text: 4 } as const;
const CUSTOM_COLUMN = 1;
const PUBLIC_SECTION = 3;
const SAVE_CONFIG = 1;
const states = { finished: 1, failed: 2 } as const;
const GENERATIONS = 'val/generations';

/**
 * A run of SwanLab in its offline form, `<root>/run-*`; `swanlab sync` uploads it.
 *
 * There is no client for JavaScript, so nothing is sent from here.
 */
export class SwanLabLogger implements MetricLogger {
  /** Folder that `swanlab sync` takes. */
  readonly folder: string;
  readonly #encode = encoderOf(messages, 'Record');
  readonly #log: RecordLog;
  readonly #now: () => number;
  readonly #columns = new Set<string>();
  #records = 0;

  /** @param root `SWANLAB_DIR` */
  constructor(
    run: RunDescription,
    root: string,
    { now = Date.now, id = randomId(21) }: { now?: () => number; id?: string } = {},
  ) {
    const started = now();
    this.#now = now;
    this.folder = join(root, `run-${localStamp(started)}-${id}`);
    mkdirSync(join(this.folder, 'files'), { recursive: true });
    this.#log = new RecordLog(join(this.folder, `run-${id}.swanlab`), header);
    const startedAt = timestampOf(started);
    this.#append(nums.start, {
      start: { project: run.project, name: run.experiment, id, startedAt },
    });
    const config = join(this.folder, 'files', 'config.yaml');
    writeFileSync(config, `${configYaml(run.config)}\n`);
    const save = { name: 'config', sourcePath: resolve(config), type: SAVE_CONFIG };
    this.#append(nums.config, { save });
  }

  log(step: number, metrics: Metrics): void {
    const timestamp = timestampOf(this.#now());
    for (const [key, number] of Object.entries(metrics)) {
      this.#column(key, columnTypes.scalar);
      const scalar = { key, step, type: columnTypes.scalar, timestamp, value: { number } };
      this.#append(++this.#records, { scalar });
    }
  }

  logGenerations(step: number, generations: readonly Generation[]): void {
    this.#column(GENERATIONS, columnTypes.text);
    const folder = join(this.folder, 'media', 'text');
    mkdirSync(folder, { recursive: true });
    const items = generations.map(({ input, output, label, score }, i) => {
      const text = [`input: ${input}`, `output: ${output}`, `label: ${label}`, `score: ${score}`];
      const content = Buffer.from(printable(text.join('\n\n---\n\n')));
      const sha256 = hash('sha256', content);
      const filename = `${String(step).padStart(3, '0')}-${sha256.slice(0, 8)}.txt`;
      writeFileSync(join(folder, filename), content);
      return { filename, sha256, size: content.length, caption: `sample ${i + 1}` };
    });
    const timestamp = timestampOf(this.#now());
    const media = { key: GENERATIONS, step, type: columnTypes.text, timestamp, value: { items } };
    this.#append(++this.#records, { media });
  }

  finish(end: RunEnd): void {
    const finish = {
      state: states[end],
      error: end === 'finished' ? '' : 'the run did not end in order',
      finishedAt: timestampOf(this.#now()),
    };
    this.#append(nums.finish, { finish });
    this.#log.close();
  }

  /** Declares the column of a key, once. */
  #column(key: string, columnType: number): void {
    if (this.#columns.has(key)) return;
    this.#columns.add(key);
    const sectionName = key.includes('/') ? key.slice(0, key.indexOf('/')) : 'default';
    this.#append(++this.#records, {
      column: {
        columnClass: CUSTOM_COLUMN,
        columnType,
        columnKey: key,
        sectionName,
        sectionType: PUBLIC_SECTION,
      },
    });
  }

  #append(num: number, record: object): void {
    const timestamp = timestampOf(this.#now());
    this.#log.append(this.#encode({ num, timestamp, ...record }));
  }
}

/** A config in the form of SwanLab: every key with its value and its place. */
function configYaml(config: Readonly<Record<string, unknown>>): string {
  const whole = { UPPERFRAMEWORK: 'cxmind', FRAMEWORK: 'cxmind', ...config };
  const entries = Object.entries(whole).map(
    ([key, value], sort) => [key, { desc: '', sort, value }] as const,
  );
  return toYaml(Object.fromEntries(entries));
}
