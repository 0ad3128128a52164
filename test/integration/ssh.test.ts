import assert from 'node:assert/strict';
import type { Finding } from '../../src/doctor/finding.ts';
import { NodeProcess, type Output } from '../../transport/launch/node-process.ts';
import { isHere, quoted, sized, sshCommand } from '../../transport/launch/ssh.ts';
import { runJson, type JsonLine } from '../support/cxmind-process.ts';
import { leftNetworks, SshHosts, whyNoHosts } from '../support/ssh-hosts.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

const why = whyNoHosts();

function keptOutput(): { output: Output; stdout: string[]; stderr: string[] } {
  const [stdout, stderr]: [string[], string[]] = [[], []];
  const output = {
    stdout: (text: string) => void stdout.push(text),
    stderr: (text: string) => void stderr.push(text),
  };
  return { output, stdout, stderr };
}

/** Findings of `doctor` about hosts, without those about this machine. */
async function findingsAbout(hostfile: string, sshOptions: readonly string[]): Promise<Finding[]> {
  const options = sshOptions.flatMap((option) => ['--ssh-option', option]);
  const lines: JsonLine[] = [];
  await runJson(['doctor', '--hostfile', hostfile, ...options], lines);
  const findings = lines as unknown[] as Finding[];
  return findings.filter(({ check }) => /^[\d.]+$/.test(check));
}

describe('processes over ssh', function () {
  let hosts: SshHosts;
  before(async function () {
    if (why !== undefined) {
      console.log(`    skipped: ${why}`);
      this.skip();
    }
    hosts = await SshHosts.start(2);
  });
  after(async () => {
    if (why !== undefined) return;
    await hosts[Symbol.asyncDispose]();
    assert.deepEqual(leftNetworks(), []);
  });

  function start(
    script: string,
    order = '',
  ): { node: NodeProcess } & ReturnType<typeof keptOutput> {
    const kept = keptOutput();
    const { address } = hosts.hosts[0]!;
    const remote = `exec sh -c ${quoted(script)}`;
    const command = sshCommand(at(address), remote, hosts.sshOptions);
    const node = new NodeProcess({
      command,
      order,
      prefix: `[${address} 0] `,
      output: kept.output,
    });
    return { node, ...kept };
  }

  it('tell the doctor which cxmind they have', async () => {
    using temporary = new TemporaryDirectory();
    const [first, second] = hosts.hosts.map(({ address }) => address);
    const hostfile = temporary.write('hosts', `${first}\n${second} port=1\n`);
    const [has, refuses, ...more] = await findingsAbout(hostfile, hosts.sshOptions);
    assert.deepEqual([has?.check, has?.verdict], [first, 'ok']);
    assert.match(has!.says, /^cxmind\/[\d.]+ linux-\w+ node-v24\./);
    assert.deepEqual([refuses?.check, refuses?.verdict], [second, 'broken']);
    assert.match(refuses!.says, /refused/);
    assert.equal(refuses!.mend, `ssh -v -p 1 ${second} date +%s.%N`);
    assert.deepEqual(more, []);
  });

  it('read their order from stdin and speak in prefixed lines', async () => {
    const { node, stdout, stderr } = start(
      'read x; echo "got $x"; echo "it\'s" >&2; exit 7',
      'o1\n',
    );
    const { code, lines } = await node.ended;
    const prefix = `[${hosts.hosts[0]!.address} 0] `;
    assert.equal(stdout.join(''), `${prefix}got o1\n`);
    assert.equal(stderr.join(''), `${prefix}it's\n`);
    assert.equal(code, 7);
    assert.deepEqual([...lines].sort(), ['got o1', "it's"]);
  });

  it('end with their stdin', async () => {
    const { node } = start('cat >/dev/null; exit 3');
    await node.stop(30_000);
    assert.equal((await node.ended).code, 3);
    assert.deepEqual(hosts.processesOn(hosts.hosts[0]!), []);
  });

  it('say which host they are on', async () => {
    const { node, stdout } = start('echo $SSH_CONNECTION');
    await node.ended;
    assert.match(stdout.join(''), new RegExp(` ${hosts.address.replaceAll('.', '\\.')} \\d+ `));
  });

  it('report what ssh says of a host that refuses', async () => {
    const { output } = keptOutput();
    const options = hosts.sshOptions.filter((option) => !option.startsWith('IdentityFile'));
    const command = sshCommand(at(hosts.hosts[1]!.address), 'true', options);
    const node = new NodeProcess({ command, order: '', prefix: '', output });
    const { code, lines } = await node.ended;
    assert.equal(code, 255);
    assert.match(lines.join(), /Permission denied/);
  });

  it('are asked how many cores their host has', async () => {
    const all = hosts.hosts.map(
      ({ address }) => ({ ...at(address), slots: 'cores', maxSlots: 64 }) as const,
    );
    const slots = (await sized(all, hosts.sshOptions)).map((host) => host.slots);
    assert.equal(slots.length, 2);
    assert.ok(slots[0]! >= 1 && slots[0] === slots[1], String(slots));
  });

  it('are not needed for this host itself', async () => {
    assert.equal(await isHere(at(hosts.address)), true);
    assert.equal(await isHere(at(hosts.hosts[0]!.address)), false);
  });
});

function at(host: string): { host: string; user: undefined; port: undefined } {
  return { host, user: undefined, port: undefined };
}
