import { spawn } from 'node:child_process';
import { hasMpi } from '../../../../transport/collectives/mpi.ts';
import { communicatorConformance } from '../../../conformance/communicator.ts';
import { processRanks, rankProgram } from '../../../support/process-ranks.ts';

if (hasMpi()) {
  communicatorConformance('mpi', {
    open: (size) => processRanks(size, [() => ({ kind: 'mpi' })], (path) => [mpirun(size, path)]),
    survivesLoss: false,
    large: 700_003,
  });
} else {
  process.stderr.write(
    'mpi: not tested, no Open MPI (apt-get install openmpi-bin libopenmpi-dev)\n',
  );
}

function mpirun(size: number, path: string): ReturnType<typeof spawn> {
  const flags = [
    '--allow-run-as-root',
    '--oversubscribe',
    '--bind-to',
    'none',
    '-np',
    String(size),
  ];
  return spawn('mpirun', [...flags, process.execPath, rankProgram, path], { stdio: 'inherit' });
}
