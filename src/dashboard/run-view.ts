/**
 * One run as the dashboard sees it: the readers of its files, and the changes since they were asked last.
 *
 * Readers are made with the run. They read their files when their content is first asked for.
 */
import { join, resolve } from 'node:path';
import * as t from 'io-ts';
import { jsonIn } from '../check/json.ts';
import { Turns } from '../turns.ts';
import type { Event, LogPage, RunDetail, RunListing } from './api.ts';
import type { RunStatus } from './run-files.ts';
import type { SampleSteps, SampleKind, ValidationReport } from './api-samples.ts';
import { logPage, WarningList, type LogQuery } from './readers/log.ts';
import { MetricTable } from './readers/metrics.ts';
import { SampleFile, SampleFolder, type SampleFiles } from './readers/sample-files.ts';
import { sampleKinds, Samples } from './readers/samples.ts';
import { listingOf, statusIn, statusVersion } from './readers/status.ts';
import { TimelineFile } from './readers/timeline.ts';
import { validationReport } from './readers/validation.ts';
import type { RunControl } from './run-control.ts';

/** Folder of a run, with the run's id and name. */
export type RunPlace = Pick<RunListing, 'id' | 'name' | 'folder'>;

type Grown = Extract<Event, { type: 'grown' }>;
type Version = number | string | null;
/** A thing that changes, by its name or its files, with its version and the event that tells of a new version. */
type Told = readonly [thing: string | SampleFiles, version: Version, event: Event | null];

const hints: Readonly<Record<SampleKind, string>> = {
  rollout: 'trainer.rollout_data_dir=rollouts keeps the responses of every step.',
  validation:
    'trainer.validation_data_dir=validations keeps all answers of validations, trainer.val_generations_to_log=N some.',
  evaluation: 'cxmind eval writes its answers to the folder eval of the run.',
};

export class RunView {
  readonly place: RunPlace;
  readonly #control: RunControl;
  readonly metrics: MetricTable;
  readonly timeline: TimelineFile;
  readonly #warnings: WarningList;
  readonly #logFile: string;
  #samples: Readonly<Record<SampleKind, Samples>>;
  readonly #turns = new Turns();
  #status: RunStatus | null = null;
  #statusVersion: string | null = null;
  /** True once somebody has looked into the run, whose changes are told from then on. */
  isOpened = false;
  #report: {
    readonly samples: Samples;
    readonly key: string;
    readonly report: ReturnType<typeof validationReport>;
  } | null = null;
  /** Versions that events have told of. */
  #told: ReadonlyMap<Told[0], Version> = new Map();

  /** @param logFolder folder of `cxmind.log`: that of the run, or of the curriculum that it is a stage of */
  constructor(place: RunPlace, logFolder: string, control: RunControl) {
    const { folder } = place;
    this.place = place;
    this.#control = control;
    this.metrics = new MetricTable(join(folder, 'metrics.jsonl'));
    this.timeline = new TimelineFile(join(folder, 'spans.jsonl'));
    this.#logFile = join(logFolder, 'cxmind.log');
    this.#warnings = new WarningList(this.#logFile);
    this.#samples = this.#openSamples();
  }

  /** Reads the status if the run wrote it anew, once earlier readings are over. */
  #refreshStatus(): Promise<void> {
    return this.#turns.run(() => this.#readStatus());
  }

  async #readStatus(): Promise<void> {
    const version = await statusVersion(this.place.folder);
    if (version === this.#statusVersion) return;
    const before = JSON.stringify(this.#status?.samples);
    this.#status = await statusIn(this.place.folder);
    this.#statusVersion = version;
    if (JSON.stringify(this.#status?.samples) === before) return;
    // The samples that were read lie in other folders.
    this.#samples = this.#openSamples();
  }

  /** The run as it is now, for a list of runs. */
  async freshListing(): Promise<RunListing> {
    await this.#refreshStatus();
    const holder = await this.#control.holder(this.place.folder);
    return listingOf(this.place, this.#status, holder, this.metrics.lastStep);
  }

  async detail(): Promise<RunDetail> {
    const { folder } = this.place;
    await Promise.all([this.#warnings.refresh(), this.metrics.refresh()]);
    const [listing, summary] = await Promise.all([
      this.freshListing(),
      jsonIn(t.UnknownRecord, join(folder, 'summary.json')),
    ]);
    return {
      listing,
      status: this.#status,
      warnings: this.#warnings.warnings,
      summary: summary ?? null,
    };
  }

  /** The samples of a kind, read up to now. */
  async samples(kind: SampleKind): Promise<Samples> {
    await this.#refreshStatus();
    const samples = this.#samples[kind];
    await samples.files.refresh();
    return samples;
  }

  async sampleSteps(kind: SampleKind): Promise<SampleSteps> {
    const { files } = await this.samples(kind);
    await Promise.all(sampleKinds.map((one) => this.#samples[one].files.refresh()));
    const columns = files.index.columns();
    const found = sampleKinds.filter((one) => this.#samples[one].files.index.lastStep !== null);
    const hint = columns.steps.length === 0 ? hints[kind] : null;
    return { kind, ...columns, kinds: found, hint };
  }

  /** The report of a validation, of the newest by default; null where there is none. */
  async validation(step?: number): Promise<ValidationReport | null> {
    const samples = await this.samples('validation');
    const { steps } = samples.files.index.columns();
    const wanted = step ?? steps.at(-1);
    if (wanted === undefined || !steps.includes(wanted)) return null;
    const key = `${wanted}:${samples.files.version}`;
    if (this.#report?.samples !== samples || this.#report.key !== key) {
      const records = await samples.records(wanted);
      if (records.length === 0) return null;
      this.#report = { samples, key, report: validationReport(wanted, records) };
    }
    return { ...this.#report.report, steps, isWhole: this.#status?.samples.validation != null };
  }

  log(query: LogQuery): Promise<LogPage> {
    return logPage(this.#logFile, query);
  }

  /** Reads all files again, and gives events for what has changed since the last call. */
  async changes(): Promise<Event[]> {
    const { id: run, folder } = this.place;
    await this.#refreshStatus();
    const samples = sampleKinds.map((kind) => this.#samples[kind]);
    const readers = [
      this.metrics,
      this.timeline,
      this.#warnings,
      ...samples.map(({ files }) => files),
    ];
    await Promise.all(readers.map((reader) => reader.refresh()));
    const requests = await this.#control.requests(folder);
    const status = this.#status;
    const grown = (what: Grown['what'], upTo: number | null): Event => ({
      ...{ type: 'grown', run, what, upTo: upTo ?? 0 },
    });
    const told: readonly Told[] = [
      ['status', this.#statusVersion, status && { type: 'status', run, status }],
      ['metrics', this.metrics.version, grown('metrics', this.metrics.lastStep)],
      ['timeline', this.timeline.version, grown('timeline', this.timeline.lastStep)],
      ['log', this.#warnings.version, grown('log', this.#warnings.size)],
      ...samples.map(({ kind, files }): Told => {
        const what = kind === 'validation' ? kind : 'samples';
        return [files, files.version, grown(what, files.index.lastStep)];
      }),
      ...requests.map((request): Told => {
        const { id, state, text } = request;
        return [id, `${state} ${text}`, { type: 'request', run, request }];
      }),
    ];
    const news = told.filter(([thing, version]) => this.#told.get(thing) !== version);
    this.#told = new Map(told.map(([thing, version]) => [thing, version]));
    return news.flatMap(([, , event]) => event ?? []);
  }

  #openSamples(): Record<SampleKind, Samples> {
    const { rollout = null, validation = null } = this.#status?.samples ?? {};
    const within = (path: string): string => resolve(this.place.folder, path);
    const validations =
      validation === null
        ? new SampleFile(within('generations.jsonl'), 'generation')
        : new SampleFolder(within(validation));
    const predictions = new SampleFile(within('eval/predictions.jsonl'), 'prediction');
    return {
      rollout: new Samples('rollout', new SampleFolder(within(rollout ?? 'rollouts'))),
      validation: new Samples('validation', validations),
      evaluation: new Samples('evaluation', predictions),
    };
  }
}
