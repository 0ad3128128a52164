/** The dashboard's access to the process of a run: whether it lives, and requests to it. */
import type { RequestKind, RunRequest } from './run-files.ts';

/**
 * State of the process that writes a folder.
 *
 * - `none`: no run writes it.
 * - `listens`: a run writes it, and takes requests.
 * - `runs`: a run writes it that takes no requests, such as a warm start, or a curriculum above its stages.
 * - `gone`: a run wrote it, and its process is gone.
 * - `silent`: a process on another host wrote it, and has given no sign of life for a minute.
 */
export type Holder = 'none' | 'listens' | 'runs' | 'gone' | 'silent';

/** True where a run writes the folder now. */
export function isHeld(holder: Holder): boolean {
  return holder === 'listens' || holder === 'runs';
}

/** Access to the runs of folders. The dashboard is given it, since it knows no actors. */
export interface RunControl {
  holder(folder: string): Promise<Holder>;
  /** Requests to the run, the newest first. */
  requests(folder: string): Promise<RunRequest[]>;
  /** Asks the run for something. @throws CONFIG_INVALID where no run takes it */
  request(folder: string, kind: RequestKind): Promise<RunRequest>;
}
