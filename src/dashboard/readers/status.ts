/** The status of a run from its `status.json`, and the run's listing that follows from it. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as t from 'io-ts';
import { jsonIn } from '../../check/json.ts';
import type { RunListing, RunState } from '../api.ts';
import { isHeld, type Holder } from '../run-control.ts';
import { RunStatus } from '../run-files.ts';

/** Reads the status that a run wrote last; null where there is none. */
export async function statusIn(folder: string): Promise<RunStatus | null> {
  const found = await jsonIn(t.UnknownRecord, join(folder, 'status.json'));
  // Runs of older versions tell of no device's memory.
  const status = { deviceMemory: [], ...found };
  return RunStatus.is(status) ? status : null;
}

/** A text that changes whenever a run writes its status. */
export async function statusVersion(folder: string): Promise<string> {
  const found = await stat(join(folder, 'status.json')).catch(() => null);
  return found === null ? '' : `${found.ino}:${found.mtimeMs}`;
}

/** State of a run: the one in its status, unless its process is gone or silent. */
function stateOf(status: RunStatus | null, holder: Holder): RunState {
  if (status === null) return holder === 'gone' ? 'dead' : 'unknown';
  const isOver = ['done', 'stopped', 'failed'].includes(status.state);
  if (isOver || isHeld(holder)) return status.state;
  return holder === 'silent' ? 'silent' : 'dead';
}

/** The listing of a run. @param lastStep newest step of its metrics */
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
