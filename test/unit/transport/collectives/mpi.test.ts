import { spawn } from 'node:child_process';
import { MpiLibrary } from '../../../../transport/collectives/native/mpi-library.ts';
import { communicatorConformance } from '../../../conformance/communicator.ts';
import { RankProcesses, rankProgram } from '../../../support/process-ranks.ts';

if (hasMpi()) {
  communicatorConformance('mpi', {
    start() {
      const jobs = new Map<number, RankProcesses>();
      return {
        open(size) {
          const job = jobs.get(size) ?? new RankProcesses((path) => mpirun(size, path));
          jobs.set(size, job);
          return job.open(size, [() => ({ kind: 'mpi' })]);
        },
        async [Symbol.asyncDispose]() {
          for (const job of jobs.values()) await job[Symbol.asyncDispose]();
        },
      };
    },
    survivesLoss: false,
    large: 200_003,
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
