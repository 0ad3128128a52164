import { bin, start, type Running } from '../support/cxmind-process.ts';

/** End of a process of a job. */
export interface TaskEnd {
  readonly rank: number;
  /** Exit code, or the name of the signal. */
  readonly code: number | string;
  readonly stderr: string;
}

/** The processes of one life of a job, started as `srun` starts them: each can be killed by its rank. */
export class TaskJob {
  readonly ended: Promise<TaskEnd[]>;
  readonly #tasks: readonly Running[];

  /**
   * @param slots what each process has, by rank
   * @param args  of `cxmind launch`
   */
  constructor(id: string, slots: readonly number[], args: readonly string[]) {
    this.#tasks = slots.map((count, rank) =>
      start(process.execPath, [bin, 'launch', ...args], {
        SLURM_JOB_ID: id,
        SLURM_STEP_ID: '0',
        SLURM_STEP_NODELIST: `node[0-${slots.length - 1}]`,
        SLURM_NTASKS: String(slots.length),
        SLURM_PROCID: String(rank),
        SLURM_LOCALID: '0',
        SLURM_CPUS_PER_TASK: String(count),
        SLURMD_NODENAME: `node${rank}`,
      }),
    );
    const ends = this.#tasks.map(async ({ ended, output }, rank) => {
      return { rank, code: await ended, stderr: output.stderr };
    });
    this.ended = Promise.all(ends);
  }

  /** Ends a process as nothing in it can prevent; false when it had ended. */
  kill(rank: number): boolean {
    return this.#tasks[rank]!.child.kill('SIGKILL');
  }

  /** Ends all that is left of it. */
  async abandon(): Promise<void> {
    for (const { child } of this.#tasks) child.kill('SIGKILL');
    await this.ended;
  }
}
