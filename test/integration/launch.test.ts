import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bin, cxmind, until, type Running } from '../support/cxmind-process.ts';
import { leftNetworks, SshHosts, whyNoHosts } from '../support/ssh-hosts.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { numbersOf, tinyItems, trainTiny, writeTinyDemo } from '../support/tiny-run.ts';

const why = whyNoHosts();

describe('cxmind launch over three hosts', function () {
  this.timeout(120_000);
  let hosts: SshHosts;
  let folder: TemporaryDirectory;
  let demo: string;
  let hostfile: string;
  let count = 0;

  before(async function () {
    if (why !== undefined) {
      console.log(`    skipped: ${why}`);
      this.skip();
    }
    folder = new TemporaryDirectory();
    demo = join(folder.path, 'demo');
    await writeTinyDemo(demo);
    hosts = await SshHosts.start(3);
    const lines = hosts.hosts.map(({ address }) => `${address} slots=2 max_slots=4`);
    hostfile = folder.write('hosts', `# three hosts\n${lines.join('\n')}\n`);
  });
  afterEach(() => {
    for (const host of hosts.hosts) assert.deepEqual(hosts.processesOn(host), []);
  });
  after(async () => {
    if (why !== undefined) return;
    await hosts[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
    assert.deepEqual(leftNetworks(), []);
  });

  const items = [
    'worker.rollout.num_workers=3',
    'data.rollout_batch_size=6',
    'worker.actor.global_batch_size=6',
  ];
  const endless = ['trainer.max_steps=100000', 'trainer.total_epochs=100000'];

  function launch(
    flags: readonly string[],
    extra: readonly string[] = [],
  ): Running & { run: string } {
    const run = join(folder.path, `run-${count++}`);
    const ssh = hosts.sshOptions.flatMap((option) => ['--ssh-option', option]);
    const train = ['train', ...tinyItems(demo, run, [...items, ...extra])];
    return { run, ...cxmind(['launch', '--hostfile', hostfile, ...ssh, ...flags, '--', ...train]) };
  }

  /** Waits until training has begun, with a node on every host. */
  async function untilTraining({ run, ended, output }: ReturnType<typeof launch>): Promise<void> {
    const metrics = join(run, 'metrics.jsonl');
    const isTraining = (): boolean => existsSync(metrics) && readFileSync(metrics).length > 0;
    const early = ended.then((code) => {
      if (!isTraining()) assert.fail(`ended with ${code}: ${output.stderr}`);
    });
    await Promise.race([until(isTraining), early]);
    for (const host of hosts.hosts) assert.equal(hosts.processesOn(host).length, 1);
  }

  it('trains as one process alone does, with actors on every host', async () => {
    const { run, output, ended } = launch([]);
    assert.equal(await ended, 0, output.stderr);
    const alone = join(folder.path, 'alone');
    await trainTiny(demo, alone, items);
    assert.deepEqual(numbersOf(run), numbersOf(alone));
    const log = readFileSync(join(run, 'cxmind.log'), 'utf8');
    for (const { address } of hosts.hosts) {
      assert.match(log, new RegExp(`"actor":"rollout/\\d","node":"${address}"`));
    }
  });

  it('keeps the keys out of sight, and ends everywhere on Ctrl-C', async () => {
    const running = launch([], endless);
    await untilTraining(running);
    const [line] = hosts.processesOn(hosts.hosts[0]!);
    assert.equal(line, `${process.execPath} ${bin} node`);
    const environment = hosts.environmentOn(hosts.hosts[0]!);
    assert.deepEqual(
      environment.filter((variable) => /key|secret|ticket|cxmind/i.test(variable)),
      [],
    );
    running.child.kill('SIGINT');
    assert.equal(await running.ended, 130, running.output.stderr);
  });

  it('ends everywhere when it is killed outright', async () => {
    const running = launch([], endless);
    await untilTraining(running);
    running.child.kill('SIGKILL');
    assert.equal(await running.ended, 'SIGKILL');
    await until(() => hosts.hosts.every((host) => hosts.processesOn(host).length === 0));
  });

  it('ends with the exit code and the last lines of the first node that fails', async () => {
    const { address } = hosts.hosts[1]!;
    const script = `case "$SSH_CONNECTION" in *" ${address} 22") echo some output; echo no such disk >&2; exit 7;; esac`;
    const { output, ended } = launch([
      '--remote-command',
      `${script}; exec ${process.execPath} ${bin} node`,
    ]);
    assert.equal(await ended, 7);
    assert.match(output.stdout, new RegExp(`^\\[${address} 1\\] some output$`, 'm'));
    const lines = output.stderr.trimEnd().split('\n');
    assert.ok(lines.includes(`[${address} 1] no such disk`), output.stderr);
    const account = lines.slice(lines.findIndex((line) => line.startsWith(address)));
    assert.equal(account[0], `${address} (rank 1) ended with exit code 7; its last lines:`);
    assert.deepEqual(account.slice(1).sort(), ['  no such disk', '  some output']);
  });

  it('ends when a node is killed while it trains', async () => {
    const running = launch([], endless);
    await untilTraining(running);
    hosts.kill(hosts.hosts[2]!);
    assert.equal(await running.ended, 255);
    const { address } = hosts.hosts[2]!;
    assert.match(
      running.output.stderr,
      new RegExp(`^${address} \\(rank 2\\) ended with exit code 255`, 'm'),
    );
  });

  it('goes on without a node that is lost, when told so', async () => {
    const running = launch(['--keep-going'], endless);
    await untilTraining(running);
    hosts.kill(hosts.hosts[2]!);
    const log = join(running.run, 'cxmind.log');
    await until(() => /"node":".*"msg":"node left"/.test(readFileSync(log, 'utf8')));
    const metrics = join(running.run, 'metrics.jsonl');
    const before = readFileSync(metrics).length;
    await until(() => readFileSync(metrics).length > before);
    running.child.kill('SIGINT');
    assert.equal(await running.ended, 130, running.output.stderr);
  });

  it('ends with a host that is cut off, where the node ends by itself', async () => {
    const running = launch(['--dead-after', '2'], endless);
    await untilTraining(running);
    const [, , host] = hosts.hosts;
    hosts.setLink(host!, 'down');
    assert.equal(await running.ended, 3);
    const message = `^${host!.address} \\(rank 2\\) is lost: `;
    assert.match(running.output.stderr, new RegExp(message, 'm'));
    await until(() => hosts.processesOn(host!).length === 0);
    hosts.setLink(host!, 'up');
  });

  it('says which hosts are missing when they do not join in time', async () => {
    const { output, ended } = launch(['--join-timeout', '3', '--remote-command', 'cat >/dev/null']);
    assert.equal(await ended, 3);
    assert.match(
      output.stderr,
      /\(rank 0\), .*\(rank 1\), .*\(rank 2\): did not join within 3 s; if this host/,
    );
  });

  it('uses as many slots as it is told to, host after host', async () => {
    const { run, output, ended } = launch(['--np', '3']);
    assert.equal(await ended, 0, output.stderr);
    const log = readFileSync(join(run, 'cxmind.log'), 'utf8');
    const joined = hosts.hosts.map(({ address }) => log.includes(`"node":"${address}"`));
    assert.deepEqual(joined, [true, true, false]);
  });

  it('refuses more than there are slots, with both numbers', async () => {
    const { output, ended } = launch(['--np', '7']);
    assert.equal(await ended, 2);
    assert.match(
      output.stderr,
      /^7 ranks are asked for and there are 6 slots \(.* 2, .* 2, .* 2\): ask for no more/,
    );
  });
});

describe('cxmind launch', () => {
  it('starts nodes on this host without ssh', async () => {
    using folder = new TemporaryDirectory();
    const [demo, run] = [join(folder.path, 'demo'), join(folder.path, 'run')];
    await writeTinyDemo(demo);
    const train = ['train', ...tinyItems(demo, run)];
    const { output, ended } = cxmind(['launch', '--host', 'localhost:2', '--', ...train]);
    assert.equal(await ended, 0, output.stderr);
    assert.match(
      readFileSync(join(run, 'cxmind.log'), 'utf8'),
      /"actor":"rollout\/0","node":"localhost"/,
    );
  });

  for (const [args, message] of [
    [
      ['--', 'train'],
      /^launch: no hosts; give them by --hostfile or --host, or start this by srun/m,
    ],
    [
      ['--host', 'localhost'],
      /^launch: behind -- stands what to run, one of eval, quickstart, train; got nothing$/m,
    ],
    [['--host', 'localhost', '--', 'init'], /got init$/m],
    [['--hostfile', 'none', '--', 'train'], /^none: cannot read this hostfile$/m],
    [['--host', '-x', '--', 'train'], /^--host: -x: neither a host name nor an address$/m],
  ] as const) {
    it(`refuses '${args.join(' ')}'`, async () => {
      const { output, ended } = cxmind(['launch', ...args]);
      assert.equal(await ended, 2);
      assert.match(output.stderr, message);
    });
  }
});

describe('cxmind node', () => {
  it('says what it expects when it is started by hand', async () => {
    const { output, ended } = cxmind(['node']);
    assert.equal(await ended, 2);
    assert.equal(
      output.stderr,
      'node: expected an order on stdin, as `cxmind launch` of the same version writes it\n',
    );
  });
});
