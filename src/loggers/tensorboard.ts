import { appendFileSync, mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Metrics } from '../metrics.ts';
import { recordBytes } from './event-file.ts';
import type { MetricLogger, RunDescription } from './logger.ts';
import { configText, flattened } from './nesting.ts';
import { encoderOf, type Messages } from '../protobuf.ts';

/** The messages of TensorFlow's events and of the hparams plugin, with the fields that are written here. */
const messages: Messages = {
  Event: {
    wallTime: ['double', 1],
    step: ['int64', 2],
    fileVersion: ['string', 3],
    summary: ['Summary', 5],
    sessionLog: ['SessionLog', 7],
  },
  SessionLog: { status: ['int32', 1] },
  Summary: { value: ['SummaryValue', 1, 'repeated'] },
  SummaryValue: {
    tag: ['string', 1],
    simpleValue: ['float', 2, 'oneof'],
    metadata: ['SummaryMetadata', 9],
  },
  SummaryMetadata: { pluginData: ['PluginData', 1] },
  PluginData: { pluginName: ['string', 1], content: ['bytes', 2] },
  HParamsPluginData: {
    version: ['int32', 1],
    experiment: ['Experiment', 2],
    sessionStartInfo: ['SessionStartInfo', 3],
    sessionEndInfo: ['SessionEndInfo', 4],
  },
  Experiment: {
    hparamInfos: ['HParamInfo', 4, 'repeated'],
    metricInfos: ['MetricInfo', 5, 'repeated'],
  },
  HParamInfo: { name: ['string', 1], type: ['int32', 4] },
  MetricInfo: { name: ['MetricName', 1] },
  MetricName: { tag: ['string', 2] },
  SessionStartInfo: { hparams: ['HParam', 1, 'repeated'] },
  HParam: { key: ['string', 1], value: ['Value', 2] },
  Value: {
    numberValue: ['double', 2, 'oneof'],
    stringValue: ['string', 3, 'oneof'],
    boolValue: ['bool', 4, 'oneof'],
  },
  SessionEndInfo: { status: ['int32', 1] },
};

const FILE_VERSION = 'brain.Event:2';
const SESSION_START = 1;
const HPARAMS_PLUGIN = 'hparams';
const STATUS_SUCCESS = 1;
const PLACEHOLDER = 'placeholder';
/** The hparams plugin's data types. */
const types = { string: 1, boolean: 2, number: 3 } as const;

type HParamValue = string | number | boolean;

/**
 * Logger that writes an event file for TensorBoard in `<root>/<project>/<experiment>`.
 *
 * Each metric is a scalar, and the config is hparams with one placeholder metric. A resumed run writes another file,
 * whose beginning tells TensorBoard to forget the steps that are done again.
 */
export class TensorBoardLogger implements MetricLogger {
  readonly #encodeEvent = encoderOf(messages, 'Event');
  readonly #encodeHparams = encoderOf(messages, 'HParamsPluginData');
  readonly #file: string;
  readonly #now: () => number;

  /**
   * @param root `TENSORBOARD_DIR`
   * @param now  milliseconds since 1970
   */
  constructor(run: RunDescription, root: string, now: () => number = Date.now) {
    const folder = join(root, run.project, run.experiment);
    mkdirSync(folder, { recursive: true });
    this.#now = now;
    const seconds = String(Math.floor(now() / 1000)).padStart(10, '0');
    const name = `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${tick()}`;
    this.#file = join(folder, name);
    this.#append({ fileVersion: FILE_VERSION }, 'ax');
    if (run.resumedAfter !== null && !run.isLook) {
      this.#append({ step: run.resumedAfter + 1, sessionLog: { status: SESSION_START } });
    }
    this.#describe(run.config);
  }

  log(step: number, metrics: Metrics): void {
    const value = Object.entries(metrics).map(([tag, simpleValue]) => ({ tag, simpleValue }));
    this.#append({ step, summary: { value } });
  }

  #describe(config: Readonly<Record<string, unknown>>): void {
    const hparams = Object.entries(flattened(config)).map(([name, value]) => {
      return [name, isScalar(value) ? value : configText(value)] as const;
    });
    const experiment = {
      hparamInfos: hparams.map(([name, value]) => ({
        name,
        type: types[typeof value as keyof typeof types],
      })),
      metricInfos: [{ name: { tag: PLACEHOLDER } }],
    };
    const start = { hparams: hparams.map(([key, value]) => ({ key, value: valueMessage(value) })) };
    const parts = [
      ['_hparams_/experiment', { version: 0, experiment }],
      ['_hparams_/session_start_info', { version: 0, sessionStartInfo: start }],
      ['_hparams_/session_end_info', { version: 0, sessionEndInfo: { status: STATUS_SUCCESS } }],
    ] as const;
    for (const [tag, data] of parts) {
      const pluginData = { pluginName: HPARAMS_PLUGIN, content: this.#encodeHparams(data) };
      this.#append({ summary: { value: [{ tag, metadata: { pluginData } }] } });
    }
    this.#append({ summary: { value: [{ tag: PLACEHOLDER, simpleValue: 0 }] } });
  }

  #append(event: object, flag: 'a' | 'ax' = 'a'): void {
    const data = this.#encodeEvent({ wallTime: this.#now() / 1000, ...event });
    appendFileSync(this.#file, recordBytes(data), { flag });
  }
}

function isScalar(value: unknown): value is HParamValue {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function valueMessage(value: HParamValue): object {
  if (typeof value === 'number') return { numberValue: value };
  return typeof value === 'boolean' ? { boolValue: value } : { stringValue: value };
}

/** A number that differs between two files of one process and second. */
function tick(): string {
  return String(process.hrtime.bigint() % 1_000_000_000n);
}
