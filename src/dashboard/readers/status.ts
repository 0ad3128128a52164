/** The status of a run from its `status.json`, and what of it a list of runs shows. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as t from 'io-ts';
import { withDefault } from '../../check/codec.ts';
import { jsonIn } from '../../check/json.ts';
import type { RunListing, RunState, RunStatus } from '../api.ts';
import { isHeld, type Holder } from '../run-control.ts';

const numberOrNull = t.union([t.number, t.null]);
const textOrNull = t.union([t.string, t.null]);

const ActorState = t.type({
  name: t.string,
  status: t.keyof({
    ...{ starting: null, running: null, restarting: null },
    ...{ stopping: null, stopped: null },
  }),
  node: textOrNull,
  device: textOrNull,
  mailbox: t.number,
  capacity: t.number,
  method: textOrNull,
  since: t.number,
  restarts: t.number,
  heapBytes: numberOrNull,
  lastError: textOrNull,
});

/** Codec of `status.json`. */
const StatusFile: t.Type<RunStatus, unknown> = t.type({
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
  secondsPerStep: numberOrNull,
  phases: t.readonlyArray(t.type({ name: t.string, since: t.number })),
  progress: t.readonlyArray(t.type({ name: t.string, done: t.number, total: t.number })),
  actors: t.readonlyArray(ActorState),
  memory: t.type({ residentBytes: t.number, freeBytes: t.number, totalBytes: t.number }),
  // Runs of older versions tell of none.
  deviceMemory: withDefault(
    t.readonlyArray(t.type({ device: t.string, freeBytes: t.number, totalBytes: t.number })),
    [],
  ),
  device: t.string,
  lastError: textOrNull,
  checkpoint: t.union([t.type({ step: t.number, path: t.string }), t.null]),
  deadLetters: t.number,
  samples: t.type({ rollout: textOrNull, validation: textOrNull }),
});

/** Reads the status that a run wrote last; null where there is none. */
export async function statusIn(folder: string): Promise<RunStatus | null> {
  return (await jsonIn(StatusFile, join(folder, 'status.json'))) ?? null;
}

/** Changes when a run writes its status. */
export async function statusVersion(folder: string): Promise<string> {
  const found = await stat(join(folder, 'status.json')).catch(() => null);
  return found === null ? '' : `${found.ino}:${found.mtimeMs}`;
}

/** State of a run by its own word, unless its process is not there to keep it. */
function stateOf(status: RunStatus | null, holder: Holder): RunState {
  if (status === null) return holder === 'gone' ? 'dead' : 'unknown';
  const isOver = ['done', 'stopped', 'failed'].includes(status.state);
  if (isOver || isHeld(holder)) return status.state;
  return holder === 'silent' ? 'silent' : 'dead';
}

/** A run as the list of runs shows it. @param lastStep newest step of its metrics */
export function listingOf(
  run: Pick<RunListing, 'id' | 'name' | 'folder'>,
  status: RunStatus | null,
  holder: Holder,
  lastStep: number | null,
): RunListing {
  const state = stateOf(status, holder);
  const goesOn = ['starting', 'running', 'stopping'].includes(state);
  return {
    ...{ id: run.id, name: run.name, folder: run.folder, state, goesOn },
    step: status?.step ?? lastStep ?? 0,
    steps: status?.steps ?? null,
    secondsLeft: goesOn ? (status?.secondsLeft ?? null) : null,
    updated: status?.updated ?? null,
    takesRequests: state === 'running' && holder === 'listens',
  };
}
