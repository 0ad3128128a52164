import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { attempt } from '../../src/errors.ts';
import { exited } from './process-end.ts';
import { TemporaryDirectory } from './temporary-directory.ts';

const sshd = '/usr/sbin/sshd';
/**
 * Starts sshd with a /run of its own: it wants an empty directory there, which only its service makes. `ip netns exec`
 * has a view of the file systems to itself.
 */
const startSshd = `mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec ${sshd} -D -e -f "$0"`;
const bootDeadlineMs = 10_000;

/** Reason why hosts cannot be made here, in a sentence; undefined where they can. */
export function whyNoHosts(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    return 'hosts of network namespaces need Linux and root';
  }
  if (!existsSync(sshd)) return 'hosts need an ssh server: apt-get install openssh-server';
  try {
    ip(`netns add ${probe}`);
    ip(`netns delete ${probe}`);
    return undefined;
  } catch (error) {
    return `hosts need network namespaces, and this machine refuses them: ${String(error)}`;
  }
}

const probe = `cxmind-probe-${process.pid}`;

/** A machine of its own as far as the network goes: its interface, its address, its ssh server. */
export interface SshHost {
  readonly namespace: string;
  /** Interface inside of the namespace; its peer at the bridge is called like this with `b` behind it. */
  readonly device: string;
  readonly address: string;
}

/**
 * Hosts behind a bridge, made of network namespaces; files and processes are those of this machine.
 *
 * Everything is gone when it is disposed of, also what still runs in the namespaces.
 */
export class SshHosts implements AsyncDisposable {
  readonly hosts: readonly SshHost[];
  readonly bridge: string;
  /** The address of this machine at the bridge. */
  readonly address: string;
  /** Options of `ssh -o` by which the hosts are reached with the key made for them. */
  readonly sshOptions: readonly string[];
  readonly #folder = new TemporaryDirectory();
  readonly #servers: ChildProcess[] = [];

  private constructor(count: number) {
    const id = process.pid % 10_000;
    this.bridge = `cx${id}`;
    const net = freeNet();
    this.address = `${net}.1`;
    this.hosts = Array.from({ length: count }, (_, i) => ({
      namespace: `cxmind-${process.pid}-${i + 1}`,
      device: `cx${id}n${i + 1}`,
      address: `${net}.${i + 11}`,
    }));
    const key = join(this.#folder.path, 'client');
    this.sshOptions = [
      `IdentityFile=${key}`,
      'IdentitiesOnly=yes',
      `UserKnownHostsFile=${join(this.#folder.path, 'known_hosts')}`,
      'StrictHostKeyChecking=yes',
      'LogLevel=ERROR',
    ];
  }

  static async start(count: number): Promise<SshHosts> {
    const hosts = new SshHosts(count);
    try {
      await hosts.#boot();
      return hosts;
    } catch (error) {
      await hosts[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Command lines of what runs on a host besides its ssh server. */
  processesOn(host: SshHost): string[] {
    return pidsOn(host).map(commandLine);
  }

  /** The environment of all that, a variable each. */
  environmentOn(host: SshHost): string[] {
    return pidsOn(host).flatMap((pid) => readProc(pid, 'environ').split('\0'));
  }

  /** Kills it outright. */
  kill(host: SshHost): void {
    for (const pid of pidsOn(host)) tryKill(pid);
  }

  /** Takes a host off the network, or back to it. */
  setLink({ device }: SshHost, state: 'up' | 'down'): void {
    ip(`link set ${device}b ${state}`);
  }

  async #boot(): Promise<void> {
    const { path } = this.#folder;
    for (const name of ['client', 'server']) {
      const options = ['-q', '-t', 'ed25519', '-N', '', '-C', 'cxmind test'];
      run('ssh-keygen', ...options, '-f', join(path, name));
    }
    const server = readFileSync(join(path, 'server.pub'), 'utf8');
    const known = this.hosts.map(({ address }) => `${address} ${server}`).join('');
    this.#folder.write('known_hosts', known);
    ip(`link add ${this.bridge} type bridge`);
    ip(`address add ${this.address}/24 dev ${this.bridge}`);
    ip(`link set ${this.bridge} up`);
    for (const host of this.hosts) this.#addHost(host);
    await Promise.all(this.hosts.map(({ address }) => untilListening(address)));
  }

  #addHost({ namespace, device, address }: SshHost): void {
    ip(`netns add ${namespace}`);
    ip(`link add ${device}b type veth peer name ${device} netns ${namespace}`);
    ip(`link set ${device}b master ${this.bridge} up`);
    ip(`-n ${namespace} address add ${address}/24 dev ${device}`);
    ip(`-n ${namespace} link set ${device} up`);
    ip(`-n ${namespace} link set lo up`);
    const { path } = this.#folder;
    const compiled = process.env['NODE_COMPILE_CACHE'];
    const config = this.#folder.write(
      `sshd-${namespace}`,
      [
        `ListenAddress ${address}:22`,
        `HostKey ${join(path, 'server')}`,
        `AuthorizedKeysFile ${join(path, 'client.pub')}`,
        'PermitRootLogin prohibit-password',
        'PasswordAuthentication no',
        'KbdInteractiveAuthentication no',
        'StrictModes no',
        // a locked account, as root's often is, may log in with a key only by way of PAM
        'UsePAM yes',
        'PrintMotd no',
        'PidFile none',
        'UseDNS no',
        // without what this user's shell does when it starts, which can take longer than what is tested
        `SetEnv HOME=${path}${compiled === undefined ? '' : ` NODE_COMPILE_CACHE=${compiled}`}`,
      ].join('\n'),
    );
    const inNamespace = ['netns', 'exec', namespace, 'sh', '-c', startSshd, config];
    const child = spawn('ip', inNamespace, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.resume();
    this.#servers.push(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { namespace } of this.hosts) {
      for (const pid of pidsIn(namespace)) tryKill(pid);
    }
    await Promise.all(this.#servers.map(exited));
    for (const { namespace, device } of this.hosts) {
      // its peer alone would go some time after the namespace
      attempt(() => ip(`link delete ${device}b`));
      attempt(() => ip(`netns delete ${namespace}`));
    }
    attempt(() => ip(`link delete ${this.bridge}`));
    this.#folder[Symbol.dispose]();
  }
}

/** Namespaces and interfaces of ours that are left on this machine. */
export function leftNetworks(): string[] {
  const namespaces = ip('netns list').split('\n');
  const links = ip('-brief link').split('\n');
  const id = process.pid % 10_000;
  return [
    ...namespaces.filter((line) => line.startsWith(`cxmind-${process.pid}-`)),
    ...links.filter((line) => new RegExp(`^cx${id}(n|\\s|@)`).test(line)),
  ];
}

/** The first three numbers of addresses that no interface here has. */
function freeNet(): string {
  const taken = ip('-brief address');
  const nets = Array.from({ length: 200 }, (_, i) => `10.213.${(process.pid + i) % 250}`);
  return nets.find((net) => !taken.includes(`${net}.`))!;
}

async function untilListening(address: string): Promise<void> {
  const deadline = Date.now() + bootDeadlineMs;
  for (;;) {
    const socket = connect(22, address);
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await delay(50);
    } finally {
      socket.destroy();
    }
  }
}

/** Processes of a host, but for its ssh server. */
function pidsOn({ namespace }: SshHost): number[] {
  return pidsIn(namespace).filter((pid) => !/^$|^(sshd|\/usr\/sbin\/sshd)/.test(commandLine(pid)));
}

/**
 * Processes in a namespace; none where there is no such namespace.
 *
 * Read from the kernel as `ip netns pids` does: starting that from a large process takes longer than to look.
 */
function pidsIn(namespace: string): number[] {
  const file = `/run/netns/${namespace}`;
  if (!existsSync(file)) return [];
  const network = `net:[${statSync(file).ino}]`;
  const pids = readdirSync('/proc').map(Number);
  return pids.filter((pid) => pid > 0 && networkOf(pid) === network);
}

function networkOf(pid: number): string | null {
  return attempt(() => readlinkSync(`/proc/${pid}/ns/net`));
}

function commandLine(pid: number): string {
  return readProc(pid, 'cmdline').replaceAll('\0', ' ').trim();
}

/** Reads a file of the kernel about a process; empty for one that is gone. */
function readProc(pid: number, file: string): string {
  return attempt(() => readFileSync(`/proc/${pid}/${file}`, 'utf8')) ?? '';
}

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs `ip` with the words of a line. */
function ip(line: string): string {
  return run('ip', ...line.split(' '));
}

/** Kills a process, unless it ended in this moment. */
function tryKill(pid: number): void {
  attempt(() => process.kill(pid, 'SIGKILL'));
}
