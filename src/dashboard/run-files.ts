/**
 * Files in a run's folder by which the run and its observers talk: its status, and requests to it.
 *
 * Times are milliseconds since the epoch.
 */
import * as t from 'io-ts';

// `orNull` of `src/check` needs Node's types, which the page lacks.
const numberOrNull = t.union([t.number, t.null]);
const textOrNull = t.union([t.string, t.null]);

/** A phase of a run that goes on now, such as `gen` or `update_actor`. */
const OpenPhase = t.type({ name: t.string, since: t.number });
export interface OpenPhase extends t.TypeOf<typeof OpenPhase> {}

/** State of an actor, as its supervisor sees it. */
const ActorState = t.type({
  /** Name, as in `rollout/0`. */
  name: t.string,
  status: t.keyof({
    ...{ starting: null, running: null, restarting: null },
    ...{ stopping: null, stopped: null },
  }),
  /** Name of the node it is on; null in the trainer's own process. */
  node: textOrNull,
  /** Device it computes on, as in `cpu` or `cuda:0`; null for one that computes on none. */
  device: textOrNull,
  /** Messages that are accepted or wait, and are not done. */
  mailbox: t.number,
  /** Messages that the mailbox takes before senders wait. */
  capacity: t.number,
  /** Method of the message it works on; null where it waits for one. */
  method: textOrNull,
  /** Time since which it works on that message, or waits for one. */
  since: t.number,
  restarts: t.number,
  /** Bytes of the JavaScript heap of its thread; null where it has none in this process. Tensors lie outside it. */
  heapBytes: numberOrNull,
  /** Newest reason why it crashed; null if it never did. */
  lastError: textOrNull,
});
export interface ActorState extends t.TypeOf<typeof ActorState> {}

/** Content of a run's `status.json`, which the run replaces while it goes on. */
export const RunStatus = t.type({
  state: t.keyof({
    ...{ starting: null, running: null, stopping: null },
    ...{ done: null, stopped: null, failed: null },
  }),
  host: t.string,
  pid: t.number,
  started: t.number,
  updated: t.number,
  step: t.number,
  steps: numberOrNull,
  secondsLeft: numberOrNull,
  /** Mean seconds of a step in this process; null before there is one. */
  secondsPerStep: numberOrNull,
  /** Phases that go on now, outer ones first. */
  phases: t.readonlyArray(OpenPhase),
  /** Progress within phases, such as responses that are sampled. */
  progress: t.readonlyArray(t.type({ name: t.string, done: t.number, total: t.number })),
  actors: t.readonlyArray(ActorState),
  /** Memory of the host that the trainer runs on; resident is that of its process, all its threads included. */
  memory: t.type({ residentBytes: t.number, freeBytes: t.number, totalBytes: t.number }),
  /** Memory of the host's devices that report it, whoever uses it; the processor reports none. */
  deviceMemory: t.readonlyArray(
    t.type({ device: t.string, freeBytes: t.number, totalBytes: t.number }),
  ),
  /** Device of the run, as in `cpu` or `cuda`. */
  device: t.string,
  /** Error that ended the run; null if none did. */
  lastError: textOrNull,
  /** Newest checkpoint; null before there is one. */
  checkpoint: t.union([t.type({ step: t.number, path: t.string }), t.null]),
  /** Tells that reached nobody. */
  deadLetters: t.number,
  /** Folders of samples, inside the run's folder; null where none are kept. */
  samples: t.type({ rollout: textOrNull, validation: textOrNull }),
});
export interface RunStatus extends t.TypeOf<typeof RunStatus> {}

/** Action that a run can be asked for. */
export const RequestKind = t.keyof({ stop: null, save: null, validate: null });
export type RequestKind = t.TypeOf<typeof RequestKind>;

/**
 * A request to a run.
 *
 * - `waiting`: the run takes it when its present step is over.
 * - `taken`: the run does it now.
 * - `done` or `failed`: the run did it, or could not; `text` says what came of it.
 */
export const RunRequest = t.type({
  id: t.string,
  kind: RequestKind,
  state: t.keyof({ waiting: null, taken: null, done: null, failed: null }),
  asked: t.number,
  /** Time of the newest change of its state. */
  updated: t.number,
  text: t.string,
});
export interface RunRequest extends t.TypeOf<typeof RunRequest> {}
