/** The dashboard's access to runs beside their files: whether one lives, and a way to ask it for something. */
import type { RequestKind, RunRequest } from './api.ts';

/**
 * Whoever writes a folder.
 *
 * - `none`: no run writes it.
 * - `runs`: a run does.
 * - `gone`: a run did, and its process is gone.
 * - `silent`: a process elsewhere did, and has given no sign of life for a minute.
 */
export type Holder = 'none' | 'runs' | 'gone' | 'silent';

/** Access to the runs of folders. Whoever starts the dashboard gives it; the folders of runs are the trainer's. */
export interface RunControl {
  holder(folder: string): Promise<Holder>;
  /** True where whoever runs in the folder takes requests. One that was killed leaves it so. */
  takesRequests(folder: string): boolean;
  /** Requests to the run, the newest first. */
  requests(folder: string): Promise<RunRequest[]>;
  /** Asks the run for something. @throws CONFIG_INVALID where no run takes it */
  request(folder: string, kind: RequestKind): Promise<RunRequest>;
}
