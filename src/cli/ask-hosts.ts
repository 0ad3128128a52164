import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { hostsOf } from '../../transport/launch/allocation.ts';
import { readHostfile } from '../../transport/launch/hostfile.ts';
import { isHere, quoted, sshCommand } from '../../transport/launch/ssh.ts';
import {
  checkHost,
  hostQuestion,
  type HostAddress,
  type HostAnswer,
  type OwnVersion,
} from '../doctor/hosts.ts';
import type { Finding } from '../doctor/finding.ts';
import { packageManifest, packageRoot } from './package-root.ts';

/** Longest wait for a host: to connect, and for the whole answer. */
const CONNECT_SECONDS = 15;
const ANSWER_MS = 60_000;

/**
 * Asks the hosts of a hostfile how they are, all at once.
 *
 * @param sshOptions in the form of `ssh -o`
 * @throws CONFIG_INVALID for a hostfile that is wrong
 */
export async function askHosts(
  hostfile: string,
  sshOptions: readonly string[],
): Promise<Finding[]> {
  const hosts = hostsOf(await readHostfile(hostfile), { bareSlots: 'cores' });
  const own = ownVersion();
  const answers = await Promise.all(hosts.map((host) => ask(host, sshOptions, own)));
  return answers.flatMap((answer) => checkHost(answer, own));
}

/** This cxmind, and the line that `--version` prints of it. */
function ownVersion(): OwnVersion {
  const { name, version } = packageManifest();
  const line = `${name}/${version} ${process.platform}-${process.arch} node-${process.version}`;
  return { line, root: packageRoot() };
}

async function ask(
  { host, user, port }: HostAddress,
  sshOptions: readonly string[],
  { root }: OwnVersion,
): Promise<HostAnswer> {
  const address = { host, user, port };
  const start = [process.execPath, join(root, 'bin', 'cxmind.js'), '--version'];
  const question = hostQuestion(start.map(quoted).join(' '));
  // ssh takes the first value of an option.
  const options = [...sshOptions, `ConnectTimeout=${CONNECT_SECONDS}`];
  const [program, ...args] = (await isHere(address))
    ? ['sh', '-c', question]
    : sshCommand(address, `sh -c ${quoted(question)}`, options);
  const sentSeconds = Date.now() / 1000;
  return new Promise((resolve) => {
    execFile(program!, args, { timeout: ANSWER_MS }, (error, stdout, stderr) => {
      const receivedSeconds = Date.now() / 1000;
      const said = stderr.trim().split('\n').at(-1);
      const failure = error === null ? null : said || error.message;
      resolve({ address, sentSeconds, receivedSeconds, stdout, failure });
    });
  });
}
