import { spawn } from 'node:child_process';
import { hasMpi } from '../../../../transport/collectives/mpi.ts';
import { communicatorConformance } from '../../../conformance/communicator.ts';
import { RankProcesses, rankProgram } from '../../../support/process-ranks.ts';

/** Ranks of the one job, which MPI starts all at once. */
const JOB = 5;

if (hasMpi()) {
  communicatorConformance('mpi', {
    start() {
      const processes = new RankProcesses(mpirun);
      return {
        // all of the job split it, the first `size` into the group
        open: (size) => processes.open(JOB, [() => ({ kind: 'mpi', size })]),
        [Symbol.asyncDispose]: () => processes[Symbol.asyncDispose](),
      };
    },
    survivesLoss: false,
    large: 700_003,
  });
} else {
  process.stderr.write(
    'mpi: not tested, no Open MPI (apt-get install openmpi-bin libopenmpi-dev)\n',
  );
}

function mpirun(path: string): ReturnType<typeof spawn> {
  const flags = ['--allow-run-as-root', '--oversubscribe', '--bind-to', 'none', '-np', String(JOB)];
  return spawn('mpirun', [...flags, process.execPath, rankProgram, path], { stdio: 'inherit' });
}
