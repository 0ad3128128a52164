import { writeFile } from 'node:fs/promises';
import { availableParallelism, hostname } from 'node:os';
import { join } from 'node:path';
import { Args, Flags, type Config, type Interfaces } from '@oclif/core';
import { hostsOf, type Host } from '../../../transport/launch/allocation.ts';
import type { Gather } from '../../../transport/launch/cluster.ts';
import { parseHostList } from '../../../transport/launch/host-list.ts';
import { readHostfile } from '../../../transport/launch/hostfile.ts';
import { mapBySlot, type Share } from '../../../transport/launch/mapping.ts';
import { launchNodes } from '../../../transport/launch/remote-launch.ts';
import { readPrivate } from '../../../transport/launch/rendezvous.ts';
import { taskOf, type Task } from '../../../transport/launch/scheduler.ts';
import { quoted, sized } from '../../../transport/launch/ssh.ts';
import {
  gatherTasks,
  joinTask,
  type TaskLaunchOptions,
} from '../../../transport/launch/task-launch.ts';
import { makeRunKeys, RunKeys } from '../../../transport/zmq/keys.ts';
import { parsedJson } from '../../check/json.ts';
import { CxmindError, refusalText } from '../../errors.ts';
import { ReportingCommand, type ClusterCommand } from '../command.ts';
import { pathFlag, sshOptionFlag } from '../flags.ts';
import { serveNode } from './node.ts';
import type { Output } from '../output/output.ts';
import { packageRoot } from '../package-root.ts';

const launchFlags = {
  np: Flags.integer({
    char: 'n',
    description: 'slots to use, host after host; by default all',
    min: 1,
  }),
  hostfile: pathFlag({ description: 'hosts and their slots, in Open MPI syntax' }),
  host: Flags.string({
    description: 'hosts, as in node01:2,node02; narrows the hostfile where both are given',
  }),
  'default-hostfile': pathFlag({
    description: 'hosts that --hostfile may name by number, as in +n0',
  }),
  oversubscribe: Flags.boolean({ description: 'allow more than there are slots' }),
  'head-slots': Flags.integer({
    description:
      'slots of this process itself; none beside hosts, those of its task under a scheduler',
    min: 0,
  }),
  'ssh-option': sshOptionFlag,
  'remote-command': Flags.string({
    description: 'what starts a node on the other hosts; by default this cxmind at the same path',
  }),
  'head-address': Flags.string({
    description:
      'how nodes reach this process; by default where their ssh connections come from, or any address that answers',
  }),
  port: Flags.integer({
    description: 'listen at this port and the next; by default at free ones',
    min: 1,
    max: 65_534,
  }),
  'join-timeout': Flags.integer({
    description: 'seconds that nodes have to join',
    default: 60,
    min: 1,
  }),
  'dead-after': Flags.integer({
    description: 'seconds of silence after which a node is lost',
    default: 10,
    min: 2,
  }),
  rendezvous: pathFlag({
    description: "folder that all processes of a job see, to meet in; by default the run's",
  }),
  keys: pathFlag({
    description: 'file of keys that all processes of a job were given, to meet without a folder',
    dependsOn: ['head-address', 'port'],
  }),
  'write-keys': pathFlag({ description: 'make such a file, and stop' }),
  'keep-going': Flags.boolean({ description: 'go on when a node is lost after it joined' }),
};

/** The flags of `launch` as they are parsed. */
type LaunchFlags = Interfaces.InferredFlags<typeof launchFlags>;

export class Launch extends ReportingCommand {
  static override summary = 'Run a command with the help of other hosts.';
  static override description =
    'Starts a node on each host over ssh and runs the command here, its actors spread over the nodes. Hosts are ' +
    "given as for Open MPI's mpirun: a hostfile with slots, or a list. What nodes print has [host rank] before it; " +
    'the first that fails ends the run, with its exit code and its last lines.';
  static override usage = 'launch [FLAGS] -- train config=FILE ...';
  static override examples = [
    '<%= config.bin %> launch --hostfile hosts -- train config=configs/cx-closed.yaml',
    '<%= config.bin %> launch --host node01:4,node02:4 --np 6 -- train config=configs/cx-closed.yaml',
    'srun --ntasks=4 <%= config.bin %> launch -- train config=configs/cx-closed.yaml',
  ];
  static override strict = false;
  static override args = {
    command: Args.string({ description: 'train, eval or quickstart, and what belongs to it' }),
  };
  static override flags = launchFlags;

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Launch);
    const keysFile = flags['write-keys'];
    if (keysFile !== undefined) {
      await writeKeys(keysFile);
      const facts = { event: 'result', command: 'launch', keys: keysFile } as const;
      return this.output.tell(facts, '');
    }
    const command = await commandOf(argv as string[], this.config);
    const task = hasHosts(flags)
      ? undefined
      : taskOf(process.env, { size: flags.np, hostname: hostname() });
    if (task !== undefined) return runTask(task, command, flags);
    await command.runOn(gatherOver(await sharesOf(flags), flags, this.output));
  }
}

/** The command behind `--`. @throws CONFIG_INVALID for one that cannot use nodes */
async function commandOf(argv: readonly string[], config: Config): Promise<ClusterCommand> {
  const { Eval } = await import('./eval.ts');
  const { Quickstart } = await import('./quickstart.ts');
  const { Train } = await import('./train.ts');
  const commands = { eval: Eval, quickstart: Quickstart, train: Train };
  const [name = '', ...rest] = argv;
  if (!Object.hasOwn(commands, name)) {
    const known = Object.keys(commands).join(', ');
    const got = name === '' ? 'nothing' : name;
    throw new CxmindError(
      'CONFIG_INVALID',
      `launch: behind -- stands what to run, one of ${known}; got ${got}`,
    );
  }
  return new commands[name as keyof typeof commands](rest, config);
}

/** Tells whether hosts are named. They go before a scheduler, which may have started a script that launches. */
function hasHosts(flags: LaunchFlags): boolean {
  return (flags.hostfile ?? flags.host ?? flags['default-hostfile']) !== undefined;
}

async function writeKeys(path: string): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(makeRunKeys())}\n`, { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `--write-keys: cannot make ${path}: ${refusalText(cause)}`,
      { cause },
    );
  }
}

/**
 * Slots of each host that the flags name.
 *
 * @throws CONFIG_INVALID for hosts that are wrong or too few, PEER_LOST for a host that does not report its cores
 */
async function sharesOf(flags: LaunchFlags): Promise<Share[]> {
  const hosts = await sized(await hostsIn(flags), flags['ssh-option'] ?? []);
  return mapBySlot(hosts, flags.np, flags.oversubscribe);
}

async function hostsIn(flags: LaunchFlags): Promise<Host[]> {
  let pool: Host[] | undefined;
  for (const file of [flags['default-hostfile'], flags.hostfile]) {
    if (file === undefined) continue;
    pool = hostsOf(await readHostfile(file), { bareSlots: 'cores', ...(pool && { pool }) });
  }
  if (flags.host !== undefined) {
    pool = hostsOf(parseHostList(flags.host, '--host'), { bareSlots: 1, ...(pool && { pool }) });
  }
  if (pool !== undefined) return pool;
  throw new CxmindError(
    'CONFIG_INVALID',
    'launch: no hosts; give them by --hostfile or --host, or start this by srun, mpirun or an indexed job of Kubernetes',
  );
}

/** A function that starts a node on each of those hosts once the command asks for them. */
function gatherOver(shares: readonly Share[], flags: LaunchFlags, output: Output): Gather {
  const bin = join(packageRoot(), 'bin', 'cxmind.js');
  const node = [process.execPath, '--disable-sigusr1', bin, 'node'];
  const options = {
    shares,
    localCommand: node,
    remoteCommand: flags['remote-command'] ?? `exec ${node.map(quoted).join(' ')}`,
    sshOptions: flags['ssh-option'] ?? [],
    headSlots: flags['head-slots'] ?? 0,
    ...connectionOf(flags),
    output: {
      stdout: (text: string) => output.pass('stdout', text),
      stderr: (text: string) => output.pass('stderr', text),
    },
  };
  return (signal) => launchNodes(options, signal);
}

/** Options of how processes of a run find each other, and of when one is lost. */
function connectionOf(flags: LaunchFlags) {
  const deadAfterMs = flags['dead-after'] * 1000;
  return {
    headAddress: flags['head-address'],
    port: flags.port,
    joinTimeoutMs: flags['join-timeout'] * 1000,
    heartbeat: { intervalMs: Math.min(1000, deadAfterMs / 2), deadAfterMs },
    toleratesLoss: flags['keep-going'],
  };
}

/** Runs one process of a job: rank 0 runs the command, the others host actors for it. */
async function runTask(task: Task, command: ClusterCommand, flags: LaunchFlags): Promise<void> {
  const options: TaskLaunchOptions = {
    task,
    slots: flags['head-slots'] ?? slotsOf(task),
    folder: flags.rendezvous ?? (await command.folder()),
    keys: flags.keys === undefined ? undefined : await readKeys(flags.keys),
    ...connectionOf(flags),
  };
  if (task.rank === 0) return command.runOn((signal) => gatherTasks(options, signal));
  await using link = await joinTask(options);
  await serveNode(link);
}

/** Slots of a task: the scheduler's number. A pod has all cores that its limits leave it. */
function slotsOf({ slots, scheduler }: Task): number {
  return slots ?? (scheduler === 'kubernetes' ? availableParallelism() : 1);
}

/** @throws CONFIG_INVALID for a file that is none of `--write-keys`, or that everybody may read */
async function readKeys(path: string): Promise<RunKeys> {
  let text: string;
  try {
    // A group may read it: that is how Kubernetes hands a secret to a user other than root.
    text = await readPrivate(path, 0o007);
  } catch (cause) {
    if (cause instanceof CxmindError) throw cause;
    throw new CxmindError('CONFIG_INVALID', `--keys: cannot read ${path}: ${refusalText(cause)}`, {
      cause,
    });
  }
  const keys = parsedJson(text);
  if (RunKeys.is(keys)) return keys;
  throw new CxmindError('CONFIG_INVALID', `--keys: ${path} is none that --write-keys made`);
}
