import { writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { Args, type Config } from '@oclif/core';
import { taskOf } from '../../transport/launch/scheduler.ts';
import { makeRunKeys } from '../../transport/zmq/keys.ts';
import { CxmindError, refusalText } from '../errors.ts';
import type { ClusterCommand } from './cluster-command.ts';
import { CxmindCommand } from './command.ts';
import { launchFlags, type LaunchFlags } from './launch-flags.ts';
import { gatherOver, sharesOf } from './launch-hosts.ts';
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
  static override flags = launchFlags;

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
    throw new CxmindError(
      'CONFIG_INVALID',
      `--write-keys: cannot make ${path}: ${refusalText(cause)}`,
      { cause },
    );
  }
}
