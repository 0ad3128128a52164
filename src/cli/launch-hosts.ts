import { join } from 'node:path';
import { hostsOf, type Host } from '../../transport/launch/allocation.ts';
import type { Gather } from '../../transport/launch/cluster.ts';
import { parseHostList } from '../../transport/launch/host-list.ts';
import { readHostfile } from '../../transport/launch/hostfile.ts';
import { mapBySlot, type Share } from '../../transport/launch/mapping.ts';
import { launchNodes } from '../../transport/launch/remote-launch.ts';
import { quoted, sized } from '../../transport/launch/ssh.ts';
import type { Heartbeat } from '../../transport/zmq/liveness.ts';
import { CxmindError } from '../errors.ts';
import type { LaunchFlags } from './launch-flags.ts';
import { packageRoot } from './package-root.ts';

/**
 * What each of the hosts gets that the flags name.
 *
 * @throws CONFIG_INVALID for hosts that are wrong or too few, PEER_LOST for one that does not say how many cores it has
 */
export async function sharesOf(flags: LaunchFlags): Promise<Share[]> {
  const hosts = await sized(await hostsIn(flags), flags['ssh-option']);
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

/** What starts a node on each of those hosts once the command asks for them. */
export function gatherOver(shares: readonly Share[], flags: LaunchFlags): Gather {
  const bin = join(packageRoot(), 'bin', 'cxmind.js');
  const node = [process.execPath, '--disable-sigusr1', bin, 'node'];
  const options = {
    shares,
    localCommand: node,
    remoteCommand: flags['remote-command'] ?? `exec ${node.map(quoted).join(' ')}`,
    sshOptions: flags['ssh-option'],
    headAddress: flags['head-address'],
    port: flags.port,
    headSlots: flags['head-slots'] ?? 0,
    joinTimeoutMs: flags['join-timeout'] * 1000,
    heartbeat: heartbeatOf(flags),
    toleratesLoss: flags['keep-going'],
    output: {
      stdout: (text: string) => void process.stdout.write(text),
      stderr: (text: string) => void process.stderr.write(text),
    },
  };
  return (signal) => launchNodes(options, signal);
}

/** How soon a silent node is lost. */
export function heartbeatOf(flags: LaunchFlags): Heartbeat {
  const deadAfterMs = flags['dead-after'] * 1000;
  return { intervalMs: Math.min(1000, deadAfterMs / 2), deadAfterMs };
}
