/** The dashboard's access to runs beside their files: whether one lives, and a way to ask it for something. */
import type { RequestKind, RunRequest } from './run-files.ts';

/**
 * Whoever writes a folder.
 *
 * - `none`: no run writes it.
 * - `listens`: a run does, and takes requests.
 * - `runs`: a run does that takes none, such as a warm start, or a curriculum above its stages.
 * - `gone`: a run did, and its process is gone.
 * - `silent`: a process elsewhere did, and has given no sign of life for a minute.
 */
export type Holder = 'none' | 'listens' | 'runs' | 'gone' | 'silent';

/** True where a run writes the folder now. */
export function isHeld(holder: Holder): boolean {
  return holder === 'listens' || holder === 'runs';
}

/** Access to the runs of folders. Whoever starts the dashboard gives it; the folders of runs are the trainer's. */
export interface RunControl {
  holder(folder: string): Promise<Holder>;
  /** Requests to the run, the newest first. */
  requests(folder: string): Promise<RunRequest[]>;
  /** Asks the run for something. @throws CONFIG_INVALID where no run takes it */
  request(folder: string, kind: RequestKind): Promise<RunRequest>;
}
