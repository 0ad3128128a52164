/**
 * Other hosts by ssh: the command that runs something there, its quoting, and the number of their cores.
 *
 * The user's own ssh client is called, since a library would not read the user's configuration.
 */
import { execFile } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { hostname } from 'node:os';
import { promisify } from 'node:util';
import { CxmindError } from '../../src/errors.ts';
import { ownAddresses } from './addresses.ts';
import type { Host } from './allocation.ts';
import type { SizedHost } from './mapping.ts';

/** Longest wait for the number of a host's cores. */
const askTimeoutMs = 60_000;

/** Shell command that prints the number of cores, or of processors if that is not known. */
const coreCount =
  "lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l | grep -v '^0$' || nproc";

type Address = Pick<Host, 'host' | 'user' | 'port'>;

/**
 * Makes the command that runs another one on a host, by the ssh client as the user has configured it.
 *
 * It never asks for a password. A host that wants one is a failure.
 *
 * @param remoteCommand for the user's shell there
 * @param options in the form of `ssh -o`; they override what is configured
 */
export function sshCommand(
  { host, user, port }: Address,
  remoteCommand: string,
  options: readonly string[],
): string[] {
  return [
    'ssh',
    '-T',
    ...options.flatMap((option) => ['-o', option]),
    ...['-o', 'BatchMode=yes'],
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...(user === undefined ? [] : ['-l', user]),
    '--',
    host,
    remoteCommand,
  ];
}

/** Quotes a word so that a shell takes it as it is. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** True for the host that this process runs on, which needs no ssh. A host with a user or a port is not. */
export async function isHere({ host, user, port }: Address): Promise<boolean> {
  if (user !== undefined || port !== undefined) return false;
  if (host === 'localhost' || host === hostname()) return true;
  const own = new Set(ownAddresses().map(({ address }) => address));
  const addresses = await lookup(host, { all: true }).catch(() => []);
  return addresses.some(({ address }) => own.has(address) || address.startsWith('127.'));
}

/**
 * Replaces 'cores' by the number of a host's cores, for which the host is asked.
 *
 * @throws PEER_LOST when a host does not answer
 */
export async function sized(
  hosts: readonly Host[],
  options: readonly string[],
): Promise<SizedHost[]> {
  return Promise.all(
    hosts.map(async (host) => {
      const slots = host.slots === 'cores' ? await coresOf(host, options) : host.slots;
      return { ...host, slots: Math.min(slots, host.maxSlots) };
    }),
  );
}

async function coresOf(host: Host, options: readonly string[]): Promise<number> {
  const command = (await isHere(host))
    ? ['sh', '-c', coreCount]
    : sshCommand(host, `sh -c ${quoted(coreCount)}`, options);
  const [program, ...args] = command;
  try {
    const { stdout } = await promisify(execFile)(program!, args, { timeout: askTimeoutMs });
    const cores = Number(stdout.trim());
    if (Number.isSafeInteger(cores) && cores > 0) return cores;
    throw new Error(`it answered ${JSON.stringify(stdout)}`);
  } catch (cause) {
    const { stderr = '', message } = cause as { stderr?: string; message: string };
    const said = (stderr.trim() || message).replaceAll('\r', '');
    throw new CxmindError(
      'PEER_LOST',
      `${host.host}: cannot ask how many cores it has, and no slots are given: ${said}`,
      { cause },
    );
  }
}
