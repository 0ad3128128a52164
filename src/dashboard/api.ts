/**
 * The API of the dashboard: types of every answer and event, for the server and for the page.
 *
 * Types about samples and validations are in `api-samples.ts`; types that a run also has in its files are in
 * `run-files.ts`.
 *
 * Answers are JSON. All paths are below `/api`. A number that JSON has no form for, such as NaN, is null. Times are
 * milliseconds since the epoch. Nothing here is imported at run time, so the page can read this file without Node.
 *
 * | request | answer |
 * | --- | --- |
 * | `GET /api/runs` | `RunList` |
 * | `GET /api/events` | Server-Sent Events, each an `Event` by the name of its `type` |
 * | `GET /api/runs/RUN` | `RunDetail` |
 * | `GET /api/runs/RUN/metrics` | `MetricList` |
 * | `GET /api/runs/RUN/series?name=NAME&name=NAME&after=STEP&points=N` | `SeriesList` |
 * | `GET /api/runs/RUN/timeline?step=STEP` | `StepTimeline`; without a step that of the newest, null where there is none |
 * | `GET /api/runs/RUN/samples?kind=KIND` | `SampleSteps` |
 * | `GET /api/runs/RUN/samples/page?kind=KIND&step=STEP&start=ROW&count=N` | `SamplePage` |
 * | `GET /api/runs/RUN/samples/one?kind=KIND&step=STEP&row=ROW` | `SampleDetail` |
 * | `GET /api/runs/RUN/samples/prompt?kind=KIND&prompt=PROMPT&start=N&count=N` | `PromptHistory` |
 * | `GET /api/runs/RUN/samples/picture?kind=KIND&step=STEP&row=ROW&picture=N` | `image/jpeg` |
 * | `GET /api/runs/RUN/validation?step=STEP` | `ValidationReport`; without a step that of the newest, null where there is none |
 * | `GET /api/runs/RUN/log?before=OFFSET&after=OFFSET&count=N&level=LEVEL` | `LogPage` |
 * | `GET /api/config?run=RUN&run=RUN` | `ConfigTable` |
 * | `GET /api/runs/RUN/requests` | `RequestList` |
 * | `POST /api/runs/RUN/requests` with `{ "kind": KIND }` | `RunRequest` |
 *
 * An error has the status of HTTP and the body `ApiError`. A request needs the cookie that opening the printed URL sets,
 * or the header `Authorization: Bearer TOKEN`. A POST has the content type `application/json`.
 */
import type { RunRequest, RunStatus } from './run-files.ts';

/** Body of an answer that is no success. */
export interface ApiError {
  readonly error: { readonly message: string };
}

/**
 * State of a run.
 *
 * - `starting`: it loads models and starts actors.
 * - `running`: it takes steps.
 * - `stopping`: it was asked to stop, and saves.
 * - `done`: it took its last step.
 * - `stopped`: it ended before its last step, saved, and can be resumed.
 * - `failed`: an error ended it.
 * - `dead`: its process is gone, and it did not say why.
 * - `silent`: its process cannot be looked up from here, and it gave no sign of life for a minute.
 * - `unknown`: its folder has no status, such as the folder of a run of an older version.
 */
export type RunState =
  | 'starting'
  | 'running'
  | 'stopping'
  | 'done'
  | 'stopped'
  | 'failed'
  | 'dead'
  | 'silent'
  | 'unknown';

/** A run in the list of runs. */
export interface RunListing {
  /** Name of the run in paths of the API: letters, digits and hyphens. It follows from the folder, and so stays. */
  readonly id: string;
  /** Name for people: the folder, as far as it differs from those of the other runs. */
  readonly name: string;
  readonly folder: string;
  readonly state: RunState;
  /** True while the run starts, runs or stops. */
  readonly goesOn: boolean;
  /** Steps taken so far. */
  readonly step: number;
  /** Steps of the whole run; null while that is not known. */
  readonly steps: number | null;
  /** Seconds until the end, at the pace so far; null while that is not known, and after the end. */
  readonly secondsLeft: number | null;
  /** Time of the newest sign of life; null for a run without a status. */
  readonly updated: number | null;
  /** True where the run takes requests now. */
  readonly takesRequests: boolean;
}

/** All runs below the folders of the dashboard. */
export interface RunList {
  readonly runs: readonly RunListing[];
}

/** A warning of a run: of its data, its training or its actors. */
export interface Warning {
  readonly time: number;
  readonly text: string;
}

/** A run with its status, its warnings and its summary. */
export interface RunDetail {
  readonly listing: RunListing;
  /** Null for a run without a status. */
  readonly status: RunStatus | null;
  /** Newest warnings, the newest last, at most 100. */
  readonly warnings: readonly Warning[];
  /** Content of `summary.json`; null before the end. */
  readonly summary: Readonly<Record<string, unknown>> | null;
}

/** A metric in the list of a run's metrics. */
export interface MetricListing {
  /** Name as in `metrics.jsonl`: `actor/pg_loss`. */
  readonly name: string;
  /** Number of steps that have it. */
  readonly count: number;
  readonly firstStep: number;
  readonly lastStep: number;
  readonly last: number | null;
}

/** All metrics of a run, without their values over steps. */
export interface MetricList {
  /** Sorted by name. */
  readonly metrics: readonly MetricListing[];
  /** Newest step; null before there is one. */
  readonly lastStep: number | null;
  /** Rises when earlier lines were replaced, such as after a resume. Values of an earlier generation are void. */
  readonly generation: number;
}

/** A metric over steps, in columns. */
export interface Series {
  readonly name: string;
  /** Rising. */
  readonly steps: readonly number[];
  /** A value for each of the steps; null for NaN and infinities. */
  readonly values: readonly (number | null)[];
  /** Number of points before the reduction. */
  readonly count: number;
  /**
   * True where points were left out. The steps are cut into equal shares, each of which keeps its first, last, smallest
   * and largest point, so that the curve looks the same (M4, Jugel et al. 2014). Without `points` all are kept.
   */
  readonly isReduced: boolean;
}

/** Some metrics of a run over steps. */
export interface SeriesList {
  /** One for each name in the request that the run has, in the order of the request. */
  readonly series: readonly Series[];
  readonly generation: number;
}

/** A span of time in a step. */
export interface TimelineSpan {
  /**
   * Lane that it is drawn in: `trainer` for phases, `ahead` or another name for phases beside them, an actor's name for
   * its work.
   */
  readonly lane: string;
  /** Phase, or method of a message: `gen`, `generate`. */
  readonly name: string;
  /** Milliseconds since the beginning of the step; negative for work that began before it. */
  readonly start: number;
  readonly end: number;
  /**
   * Time in milliseconds at which the message of an actor's work was sent; null for phases. From there until `start` it
   * waited for the actor, which was busy with the span before it.
   */
  readonly sent: number | null;
  /** True for work that failed or was given up. */
  readonly isFailed: boolean;
}

/** The spans of time in a step, and the lanes that they are drawn in. */
export interface StepTimeline {
  readonly step: number;
  /** Time of the beginning of the step. */
  readonly began: number;
  /** Milliseconds from the beginning of the step to its end, validation and checkpoint included. */
  readonly duration: number;
  /** Lanes in the order they are drawn, `trainer` first. */
  readonly lanes: readonly string[];
  /** Sorted by `start`. */
  readonly spans: readonly TimelineSpan[];
  /** Spans that were left out of a step with very many, the shortest first. */
  readonly leftOut: number;
  /** First and last step that have a timeline. */
  readonly firstStep: number;
  readonly lastStep: number;
}

/** Level of a line of the log. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** A line of the log. */
export interface LogLine {
  /** Place of the line in the file, in bytes. */
  readonly offset: number;
  readonly time: number | null;
  readonly level: LogLevel;
  /** Name of the event. */
  readonly event: string;
  /** Other fields of the event. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Some lines of the log, and where the pages around them begin. */
export interface LogPage {
  /** Lines in the order of the file. */
  readonly lines: readonly LogLine[];
  /** `before` of the page before this one; null at the beginning of the file. */
  readonly before: number | null;
  /** `after` of the page behind this one, now or later. */
  readonly after: number;
}

/** A key of the config and its values. */
export interface ConfigRow {
  /** Path, as in `worker.actor.optim.lr`. */
  readonly key: string;
  /** A value for each run of the table; absent keys are undefined, which JSON writes as null in a list. */
  readonly values: readonly unknown[];
  /** True where the runs do not have one value. */
  readonly differs: boolean;
}

/** The configs of some runs side by side. */
export interface ConfigTable {
  /** Ids of the runs, one for each column. */
  readonly runs: readonly string[];
  readonly rows: readonly ConfigRow[];
}

/** Requests that a run was sent. */
export interface RequestList {
  /** The newest first, at most 20. */
  readonly requests: readonly RunRequest[];
}

/**
 * An event of `GET /api/events`. It says what has changed. The page then fetches those changes that it shows.
 *
 * - `runs`: the list of runs, at first and whenever a run appears, disappears or changes its listing.
 * - `status`: a run's status, while it runs.
 * - `grown`: a file of a run has more lines, or other ones.
 * - `request`: the state of a request changed.
 */
export type Event =
  | { readonly type: 'runs'; readonly runs: readonly RunListing[] }
  | { readonly type: 'status'; readonly run: string; readonly status: RunStatus }
  | {
      readonly type: 'grown';
      readonly run: string;
      readonly what: 'metrics' | 'timeline' | 'samples' | 'validation' | 'log' | 'config';
      /** Newest step, or for the log its size in bytes. */
      readonly upTo: number;
    }
  | { readonly type: 'request'; readonly run: string; readonly request: RunRequest };
