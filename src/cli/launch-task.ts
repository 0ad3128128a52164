import { availableParallelism } from 'node:os';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { readPrivate } from '../../transport/launch/rendezvous.ts';
import type { Task } from '../../transport/launch/scheduler.ts';
import {
  gatherTasks,
  joinTask,
  type TaskLaunchOptions,
} from '../../transport/launch/task-launch.ts';
import type { RunKeys } from '../../transport/zmq/keys.ts';
import { CxmindError, refusalText } from '../errors.ts';
import type { ClusterCommand } from './cluster-command.ts';
import type { LaunchFlags } from './launch-flags.ts';
import { heartbeatOf } from './launch-hosts.ts';
import { serveNode } from './serve-node.ts';

const KeyPair = t.strict({ publicKey: t.string, secretKey: t.string });
const Keys = t.strict({ server: KeyPair, client: KeyPair });

/** Does the part of one process of a job: rank 0 runs the command, the others host actors for it. */
export async function runTask(
  task: Task,
  command: ClusterCommand,
  flags: LaunchFlags,
): Promise<void> {
  const options: TaskLaunchOptions = {
    task,
    slots: flags['head-slots'] ?? slotsOf(task),
    folder: flags.rendezvous ?? (await command.folder()),
    keys: flags.keys === undefined ? undefined : await readKeys(flags.keys),
    headAddress: flags['head-address'],
    port: flags.port,
    joinTimeoutMs: flags['join-timeout'] * 1000,
    heartbeat: heartbeatOf(flags),
    toleratesLoss: flags['keep-going'],
  };
  if (task.rank === 0) return command.runOn((signal) => gatherTasks(options, signal));
  await using link = await joinTask(options);
  await serveNode(link);
}

/** As many as the scheduler gave; a pod has its host, as far as its limits go, for itself. */
function slotsOf({ slots, scheduler }: Task): number {
  return slots ?? (scheduler === 'kubernetes' ? availableParallelism() : 1);
}

/** @throws CONFIG_INVALID for a file that is none of `--write-keys`, or that everybody may read */
async function readKeys(path: string): Promise<RunKeys> {
  let text: string;
  try {
    // a group may: that is how Kubernetes hands a secret to a user other than root
    text = await readPrivate(path, 0o007);
  } catch (cause) {
    if (cause instanceof CxmindError) throw cause;
    throw new CxmindError('CONFIG_INVALID', `--keys: cannot read ${path}: ${refusalText(cause)}`, {
      cause,
    });
  }
  const wrong = new CxmindError('CONFIG_INVALID', `--keys: ${path} is none that --write-keys made`);
  try {
    const keys = Keys.decode(JSON.parse(text));
    if (isLeft(keys)) throw wrong;
    return keys.right;
  } catch {
    throw wrong;
  }
}
