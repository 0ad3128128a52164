import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expandHostlist, taskOf, type Task } from '../../../../transport/launch/scheduler.ts';
import { isRefused } from '../../../support/refusal.ts';

function task(environment: NodeJS.ProcessEnv, size?: number, hostname = 'here'): Task | undefined {
  return taskOf(environment, { size, hostname });
}

/** Environment that srun sets for the third of four tasks on two nodes. */
const srun = {
  SLURM_JOB_ID: '4711',
  SLURM_STEP_ID: '0',
  SLURM_STEP_NODELIST: 'node[08-09]',
  SLURM_STEP_NUM_TASKS: '4',
  SLURM_NTASKS: '4',
  SLURM_PROCID: '2',
  SLURM_LOCALID: '0',
  SLURM_NODEID: '1',
  SLURM_CPUS_PER_TASK: '6',
  SLURMD_NODENAME: 'node09',
};

/** Environment that `mpirun` of Open MPI 4.1.4 sets, and the part of it that 5.0 still does. */
const mpirun = {
  OMPI_COMM_WORLD_RANK: '1',
  OMPI_COMM_WORLD_SIZE: '3',
  OMPI_COMM_WORLD_LOCAL_RANK: '1',
  PMIX_RANK: '1',
  PMIX_NAMESPACE: 'prterun-login-1234@1',
  PMIX_HOSTNAME: 'node01',
};

describe('taskOf', () => {
  it('reads what srun says', () => {
    assert.deepEqual(task(srun), {
      scheduler: 'slurm',
      rank: 2,
      size: 4,
      slots: 6,
      host: 'node09',
      headHost: 'node08',
      job: 'slurm-4711.0.0',
    });
  });

  it('reads what mpirun says', () => {
    assert.deepEqual(task(mpirun), {
      scheduler: 'mpi',
      rank: 1,
      size: 3,
      slots: undefined,
      host: 'node01',
      headHost: undefined,
      job: 'mpi-prterun-login-1234_1',
    });
  });

  it('reads what an indexed job of Kubernetes says, and is told how many pods there are', () => {
    assert.deepEqual(task({ JOB_COMPLETION_INDEX: '2' }, 4, 'train-2'), {
      scheduler: 'kubernetes',
      rank: 2,
      size: 4,
      slots: undefined,
      host: 'train-2',
      headHost: 'train-0',
      job: 'kubernetes-train',
    });
    assert.throws(() => task({ JOB_COMPLETION_INDEX: '2' }), {
      code: 'CONFIG_INVALID',
      message: /JOB_COMPLETION_INDEX .* how many there are: add --np N$/,
    });
  });

  it('takes PMIx alone when it is told how many processes there are', () => {
    const found = task({ PMIX_RANK: '0', PMIX_NAMESPACE: 'a.1' }, 2);
    assert.deepEqual([found?.scheduler, found?.rank, found?.size], ['mpi', 0, 2]);
  });

  it('believes mpirun inside of a Slurm job, and srun where it speaks PMIx too', () => {
    assert.equal(task({ ...srun, ...mpirun })?.scheduler, 'mpi');
    assert.equal(task({ ...srun, PMIX_RANK: '2' })?.scheduler, 'slurm');
  });

  it('sees no task in a batch script, an interactive shell of Slurm, or a plain process', () => {
    const { SLURM_STEP_ID: _, ...batch } = srun;
    assert.equal(task(batch), undefined);
    assert.equal(task({ ...srun, SLURM_STEP_ID: '4294967290' }), undefined);
    assert.equal(task({ HOME: '/root' }), undefined);
  });

  it('refuses what does not fit together', () => {
    assert.throws(() => task({ ...mpirun, OMPI_COMM_WORLD_RANK: '3' }), {
      message: 'mpi: rank 3 among 3 processes',
    });
    assert.throws(() => task(mpirun, 4), {
      message: 'launch: --np 4, and mpi started 3 processes; leave --np out',
    });
    assert.throws(() => task({ ...srun, SLURM_PROCID: undefined }), {
      message: /lacks SLURM_PROCID/,
    });
    assert.throws(() => task({ ...srun, SLURM_PROCID: 'x' }), {
      message: 'SLURM_PROCID=x: expected a whole number',
    });
  });
});

describe('expandHostlist', () => {
  for (const [list, hosts] of [
    ['node1', ['node1']],
    ['node[1-3]', ['node1', 'node2', 'node3']],
    ['node[08-11],login', ['node08', 'node09', 'node10', 'node11', 'login']],
    ['a[1,3-4]-ib,b', ['a1-ib', 'a3-ib', 'a4-ib', 'b']],
    ['r[1-2]n[1-2]', ['r1n1', 'r1n2', 'r2n1', 'r2n2']],
  ] as const) {
    it(`reads ${list}`, () => assert.deepEqual(expandHostlist(list), hosts));
  }

  it('refuses what is no list', () => {
    const bombs = ['a[0-99999]b[0-99999]', 'a[0-9999999999]', `a[${'0'.repeat(1e5)}-9]`];
    for (const list of ['node[', 'node[1-', 'node[3-1]', 'a b', '', ...bombs]) {
      assert.throws(() => expandHostlist(list), { code: 'CONFIG_INVALID' }, list);
    }
  });

  it('ends with a list or CONFIG_INVALID, whatever it is given', () => {
    const characters = fc.constantFrom('a', '1', '0', '[', ']', ',', '-');
    fc.assert(
      fc.property(fc.string({ unit: characters, maxLength: 12 }), (text) => {
        isRefused('CONFIG_INVALID', () => expandHostlist(text));
      }),
    );
  });
});
