/** The job that Slurm, MPI or Kubernetes started this process in, read from its environment. */
import { CxmindError } from '../../src/errors.ts';

/** Process of a job that a scheduler started. */
export interface Task {
  readonly scheduler: 'slurm' | 'mpi' | 'kubernetes';
  /** Number of the process in the job, from 0. */
  readonly rank: number;
  readonly size: number;
  /** Number of actors that the process may host, if the scheduler tells. */
  readonly slots: number | undefined;
  /** Name of the process's host. */
  readonly host: string;
  /** Host of rank 0, if the scheduler tells. */
  readonly headHost: string | undefined;
  /** Name that tells this run from others, fit for a file's name. */
  readonly job: string;
}

/** Facts that an environment may lack. */
export interface TaskOptions {
  /** Number of processes, for schedulers that do not tell. */
  readonly size: number | undefined;
  /** Name that the operating system has for this host. */
  readonly hostname: string;
}

/** First of Slurm's step numbers for batch scripts, interactive shells and others that are no tasks of srun. */
const firstSpecialStep = 0xfffffff0;

/**
 * Finds the task of a process that srun, mpirun or an indexed job of Kubernetes started; undefined for any other.
 *
 * mpirun comes first: inside a Slurm job its processes have Slurm's variables too, which are those of its daemons.
 *
 * @throws CONFIG_INVALID when the environment is incomplete or contradicts itself
 * @see srun(1), "OUTPUT ENVIRONMENT VARIABLES"; mpirun(1) of Open MPI 4.1 and 5.0; the Job API of Kubernetes 1.24
 */
export function taskOf(environment: NodeJS.ProcessEnv, options: TaskOptions): Task | undefined {
  const task = ompiTask(environment, options) ?? slurmTask(environment, options);
  return checked(
    task ?? pmixTask(environment, options) ?? indexedJob(environment, options),
    options,
  );
}

function ompiTask(environment: NodeJS.ProcessEnv, { hostname }: TaskOptions): Task | undefined {
  const rank = number(environment, 'OMPI_COMM_WORLD_RANK');
  if (rank === undefined) return undefined;
  const job = environment['PMIX_NAMESPACE'] ?? environment['OMPI_MCA_ess_base_jobid'] ?? 'mpirun';
  return {
    scheduler: 'mpi',
    rank,
    size: required(environment, 'OMPI_COMM_WORLD_SIZE'),
    slots: undefined,
    host: environment['PMIX_HOSTNAME'] ?? hostname,
    headHost: undefined,
    job: fileName(`mpi-${job}`),
  };
}

function slurmTask(environment: NodeJS.ProcessEnv, { hostname }: TaskOptions): Task | undefined {
  const step = number(environment, 'SLURM_STEP_ID') ?? number(environment, 'SLURM_STEPID');
  if (step === undefined || step >= firstSpecialStep) return undefined;
  const nodes = environment['SLURM_STEP_NODELIST'] ?? environment['SLURM_JOB_NODELIST'];
  const job = environment['SLURM_JOB_ID'] ?? environment['SLURM_JOBID'] ?? '0';
  return {
    scheduler: 'slurm',
    rank: required(environment, 'SLURM_PROCID'),
    size: number(environment, 'SLURM_STEP_NUM_TASKS') ?? required(environment, 'SLURM_NTASKS'),
    slots: number(environment, 'SLURM_CPUS_PER_TASK'),
    host: environment['SLURMD_NODENAME'] ?? hostname,
    headHost: nodes === undefined ? undefined : expandHostlist(nodes)[0],
    job: fileName(`slurm-${job}.${step}.${environment['SLURM_RESTART_COUNT'] ?? '0'}`),
  };
}

/** Task of a launcher that speaks PMIx and is not Open MPI's. Its environment tells the rank, and not the size. */
function pmixTask(
  environment: NodeJS.ProcessEnv,
  { size, hostname }: TaskOptions,
): Task | undefined {
  const rank = number(environment, 'PMIX_RANK');
  if (rank === undefined) return undefined;
  return {
    scheduler: 'mpi',
    rank,
    size: size ?? lacksSize('PMIX_RANK'),
    slots: undefined,
    host: environment['PMIX_HOSTNAME'] ?? hostname,
    headHost: undefined,
    job: fileName(`pmix-${environment['PMIX_NAMESPACE'] ?? 'job'}`),
  };
}

/** Task of an indexed job of Kubernetes, whose pods are named by the job and their number: `train-2`. */
function indexedJob(
  environment: NodeJS.ProcessEnv,
  { size, hostname }: TaskOptions,
): Task | undefined {
  const rank = number(environment, 'JOB_COMPLETION_INDEX');
  if (rank === undefined) return undefined;
  const name = hostname.replace(new RegExp(`-${rank}$`), '');
  return {
    scheduler: 'kubernetes',
    rank,
    size: size ?? lacksSize('JOB_COMPLETION_INDEX'),
    slots: undefined,
    host: hostname,
    headHost: name === hostname ? undefined : `${name}-0`,
    job: fileName(`kubernetes-${name}`),
  };
}

function checked(task: Task | undefined, { size: wanted }: TaskOptions): Task | undefined {
  if (task === undefined) return undefined;
  const { scheduler, rank, size } = task;
  if (rank >= size) {
    throw new CxmindError('CONFIG_INVALID', `${scheduler}: rank ${rank} among ${size} processes`);
  }
  if (wanted !== undefined && wanted !== size) {
    const facts = `--np ${wanted}, and ${scheduler} started ${size} processes`;
    throw new CxmindError('CONFIG_INVALID', `launch: ${facts}; leave --np out`);
  }
  return task;
}

/** Most hosts of a list. Ranges that multiply could make more. */
const MAX_HOSTS = 100_000;

/**
 * Expands a list of hosts as Slurm writes it: `node[01-03,7],login` is node01, node02, node03, node7 and login.
 *
 * @throws CONFIG_INVALID for a list that is none, or has more than 100,000 hosts
 */
export function expandHostlist(list: string): string[] {
  const hosts: string[] = [];
  const expand = (part: string): void => {
    for (const item of part.split(/,(?![^[]*\])/)) {
      const [, before, ranges, after] = /^([^[\]]*)\[([\d,-]+)\](.*)$/.exec(item) ?? [];
      if (before === undefined) {
        if (!/^[^[\]\s]+$/.test(item) || hosts.push(item) > MAX_HOSTS) throw noHosts(list);
        continue;
      }
      for (const range of ranges!.split(',')) {
        for (const each of numbersOf(range, list)) expand(`${before}${each}${after}`);
      }
    }
  };
  expand(list);
  return hosts;
}

/** Expands a range: `08-11` is 08, 09, 10 and 11. */
function numbersOf(range: string, list: string): string[] {
  const [, first, last = first] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(range) ?? [];
  const count = Number(last) - Number(first) + 1;
  if (first === undefined || !(count >= 1 && count <= MAX_HOSTS)) throw noHosts(list);
  return Array.from({ length: count }, (_, i) =>
    String(Number(first) + i).padStart(first.length, '0'),
  );
}

function noHosts(list: string): CxmindError {
  return new CxmindError('CONFIG_INVALID', `slurm: no list of hosts: ${list}`);
}

function number(environment: NodeJS.ProcessEnv, variable: string): number | undefined {
  const text = environment[variable];
  if (text === undefined || text === '') return undefined;
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new CxmindError('CONFIG_INVALID', `${variable}=${text}: expected a whole number`);
}

function required(environment: NodeJS.ProcessEnv, variable: string): number {
  const value = number(environment, variable);
  if (value !== undefined) return value;
  throw new CxmindError('CONFIG_INVALID', `the environment of a scheduler lacks ${variable}`);
}

function lacksSize(variable: string): never {
  throw new CxmindError(
    'CONFIG_INVALID',
    `launch: ${variable} says which of the processes this is and nothing how many there are: add --np N`,
  );
}

function fileName(text: string): string {
  return text.replace(/[^\w.-]/g, '_');
}
