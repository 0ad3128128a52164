import { writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { Args, Flags, type Config } from '@oclif/core';
import { taskOf } from '../../transport/launch/scheduler.ts';
import { makeRunKeys } from '../../transport/zmq/keys.ts';
import { CxmindError } from '../errors.ts';
import type { ClusterCommand } from './cluster-command.ts';
import { CxmindCommand } from './command.ts';
import { gatherOver, sharesOf, type LaunchFlags } from './launch-hosts.ts';
import { runTask } from './launch-task.ts';

export class Launch extends CxmindCommand {
  static override summary = 'Run a command with the help of other hosts.';
  static override description =
    'Starts a node on each host over ssh and runs the command here, its actors spread over the nodes. Hosts are ' +
    "given as for Open MPI's mpirun: a hostfile with slots, or a list. What nodes print has [host rank] before it; " +
    'the first that fails ends the run, with its exit code and its last lines.';
  static override usage =
    'launch (--hostfile FILE | --host LIST) [--np N] -- train config=FILE ...';
  static override examples = [
    '<%= config.bin %> launch --hostfile hosts -- train config=configs/cx-closed.yaml',
    '<%= config.bin %> launch --host node01:4,node02:4 --np 6 -- train config=configs/cx-closed.yaml',
    'srun --ntasks=4 <%= config.bin %> launch -- train config=configs/cx-closed.yaml',
  ];
  static override strict = false;
  static override args = {
    command: Args.string({ description: 'train, eval or quickstart, and what belongs to it' }),
  };
  static override flags = {
    hostfile: Flags.string({ description: 'hosts and their slots, in Open MPI syntax' }),
    host: Flags.string({
      description: 'hosts, as in node01:2,node02; narrows the hostfile where both are given',
    }),
    'default-hostfile': Flags.string({
      description: 'hosts that --hostfile may name by number, as in +n0',
    }),
    np: Flags.integer({
      char: 'n',
      description: 'slots to use, host after host; by default all',
      min: 1,
    }),
    oversubscribe: Flags.boolean({ description: 'allow more than there are slots' }),
    'head-slots': Flags.integer({
      description:
        'slots of this process itself; none beside hosts, those of its task under a scheduler',
      min: 0,
    }),
    'ssh-option': Flags.string({
      description: 'as `ssh -o` takes it; may be given several times',
      multiple: true,
      multipleNonGreedy: true,
      default: [],
    }),
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
    rendezvous: Flags.string({
      description: "folder that all processes of a job see, to meet in; by default the run's",
    }),
    keys: Flags.string({
      description: 'file of keys that all processes of a job were given, to meet without a folder',
      dependsOn: ['head-address', 'port'],
    }),
    'write-keys': Flags.string({ description: 'make such a file, and stop' }),
    'keep-going': Flags.boolean({ description: 'go on when a node is lost after it joined' }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Launch);
    const keysFile = flags['write-keys'];
    if (keysFile !== undefined) return writeKeys(keysFile);
    const command = await commandOf(argv as string[], this.config);
    const task = hasHosts(flags)
      ? undefined
      : taskOf(process.env, { size: flags.np, hostname: hostname() });
    if (task !== undefined) return runTask(task, command, flags);
    await command.runOn(gatherOver(await sharesOf(flags), flags));
  }
}

/** The command behind the dashes. @throws CONFIG_INVALID for one that has no use for nodes */
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

/** Hosts that are named go before what a scheduler says: mpirun or srun may have started a script that launches. */
function hasHosts(flags: LaunchFlags): boolean {
  return (flags.hostfile ?? flags.host ?? flags['default-hostfile']) !== undefined;
}

async function writeKeys(path: string): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(makeRunKeys())}\n`, { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw new CxmindError('CONFIG_INVALID', `--write-keys: cannot make ${path}`, { cause });
  }
}
