import { spawn } from 'node:child_process';
import { MpiLibrary } from '../../../../transport/collectives/native/mpi-library.ts';
import { communicatorConformance } from '../../../conformance/communicator.ts';
import { RankProcesses, rankProgram } from '../../../support/process-ranks.ts';

if (hasMpi()) {
  describe('jobs of MPI', () => {
    const jobs = new Map<number, RankProcesses>();
    after(async () => {
      for (const job of jobs.values()) await job[Symbol.asyncDispose]();
    });

    communicatorConformance('mpi', {
      open(size) {
        const job = jobs.get(size) ?? new RankProcesses((path) => mpirun(size, path));
        jobs.set(size, job);
        return job.open(size, [() => ({ kind: 'mpi' })]);
      },
      // MPI divides the work among its ranks itself: a job alone is like no other, and any other like three.
      sizes: [1, 3],
      survivesLoss: false,
      large: 200_001,
    });
  });
} else {
  process.stderr.write(
    'mpi: not tested, no Open MPI (apt-get install openmpi-bin libopenmpi-dev)\n',
  );
}

/** True where an Open MPI library is found. */
function hasMpi(): boolean {
  try {
    new MpiLibrary();
    return true;
  } catch {
    return false;
  }
}

/** A job of so many ranks, which MPI starts all at once. */
function mpirun(size: number, path: string): ReturnType<typeof spawn> {
  const flags = ['--allow-run-as-root', '--oversubscribe', '--bind-to', 'none', '-np', `${size}`];
  return spawn('mpirun', [...flags, process.execPath, rankProgram, path], { stdio: 'inherit' });
}
