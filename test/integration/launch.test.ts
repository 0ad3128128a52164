import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { bin, cxmind, runHere, until, type Running } from '../support/cxmind-process.ts';
import { leftNetworks, SshHosts, whyNoHosts } from '../support/ssh-hosts.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import {
  assertSameRun,
  endlessItems,
  numbersOf,
  tinyItems,
  trainTiny,
  writeTinyDemo,
} from '../support/tiny-run.ts';

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
  // A node ends with its connection or its stdin, a moment after the launch that began it.
  afterEach(() => until(() => nodeCounts().every((count) => count === 0)));
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

  interface Launched extends Running {
    readonly run: string;
  }

  /** Launches a training of the tiny model that does not end by itself. */
  function launchEndless(flags: readonly string[], more: readonly string[] = []): Launched {
    const run = newRun();
    const all = tinyItems(demo, run, [...items, ...endlessItems, ...more]);
    return { run, ...launch(flags, ['train', ...all]) };
  }

  function launch(flags: readonly string[], command: readonly string[]): Running {
    const ssh = hosts.sshOptions.flatMap((option) => ['--ssh-option', option]);
    return cxmind(['launch', '--hostfile', hostfile, ...ssh, ...flags, '--', ...command]);
  }

  function newRun(): string {
    return join(folder.path, `run-${count++}`);
  }

  const logOf = (run: string): string => readFileSync(join(run, 'cxmind.log'), 'utf8');
  const stepsOf = (run: string): number => {
    const file = join(run, 'trained.jsonl');
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
  };

  /** Waits until so many steps are done. */
  async function untilStep(step: number, { run, ended, output }: Launched): Promise<void> {
    const early = ended.then((code) => {
      if (stepsOf(run) < step) assert.fail(`ended with ${code}: ${output.stderr}`);
    });
    await Promise.race([until(() => stepsOf(run) >= step), early]);
  }

  /** Number of processes on each host. */
  const nodeCounts = (): number[] => hosts.hosts.map((host) => hosts.processesOn(host).length);

  it('trains as one process alone does, with actors on every host', async () => {
    const short = [
      ...items,
      // what the model says first is worth nothing to the usual reward, and nothing would be learned
      'worker.reward.reward_function=test/support/letters-reward.ts:score',
      'trainer.max_steps=2',
    ];
    const [run, alone] = [newRun(), newRun()];
    const launched = launch([], ['train', ...tinyItems(demo, run, short)]);
    assert.equal(await launched.ended, 0, launched.output.stderr);
    await trainTiny(demo, alone, short);
    assertSameRun(run, alone, ['global_step_2/actor/huggingface/model.safetensors']);
    for (const { 'actor/grad_norm': norm } of numbersOf(run)) assert.ok(norm! > 0);
    for (const { address } of hosts.hosts) {
      assert.match(logOf(run), new RegExp(`"actor":"rollout/\\d","node":"${address}"`));
    }
  });

  it('keeps the keys out of sight, goes on without a lost node when told so, and ends on Ctrl-C', async () => {
    const running = launchEndless(['--keep-going']);
    await untilStep(1, running);
    assert.deepEqual(nodeCounts(), [1, 1, 1]);
    const [line] = hosts.processesOn(hosts.hosts[0]!);
    assert.equal(line, `${process.execPath} --disable-sigusr1 ${bin} node`);
    const isOfTheHost = /^(HOME|PWD|NODE_COMPILE_CACHE)=/;
    const environment = hosts
      .environmentOn(hosts.hosts[0]!)
      .filter((variable) => !isOfTheHost.test(variable));
    assert.deepEqual(
      environment.filter((variable) => /key|secret|ticket|cxmind/i.test(variable)),
      [],
    );
    hosts.kill(hosts.hosts[2]!);
    await until(() => /"node":".*"msg":"node left"/.test(logOf(running.run)));
    await untilStep(stepsOf(running.run) + 1, running);
    running.child.kill('SIGINT');
    assert.equal(await running.ended, 130, running.output.stderr);
  });

  it('uses as many slots as it is told to, and ends when a node of them is killed', async () => {
    const running = launchEndless(['--np', '3'], ['worker.rollout.num_workers=1']);
    await untilStep(1, running);
    assert.deepEqual(nodeCounts(), [1, 1, 0]);
    hosts.kill(hosts.hosts[1]!);
    assert.equal(await running.ended, 255, running.output.stderr);
    const { address } = hosts.hosts[1]!;
    assert.match(
      running.output.stderr,
      new RegExp(`^${address} \\(rank 1\\) ended with exit code 255`, 'm'),
    );
  });

  it('ends with the exit code and the last lines of the first node that fails', async () => {
    const { address } = hosts.hosts[1]!;
    const script = `case "$SSH_CONNECTION" in *" ${address} 22") echo some output; echo no such disk >&2; exit 7;; esac`;
    const { output, ended } = launchEndless([
      '--remote-command',
      `${script}; exec ${process.execPath} ${bin} node`,
    ]);
    assert.equal(await ended, 7, output.stderr);
    assert.match(output.stdout, new RegExp(`^\\[${address} 1\\] some output$`, 'm'));
    const lines = output.stderr.trimEnd().split('\n');
    assert.ok(lines.includes(`[${address} 1] no such disk`), output.stderr);
    const account = lines.slice(lines.findIndex((line) => line.startsWith(address)));
    assert.equal(account[0], `${address} (rank 1) ended with exit code 7; its last lines:`);
    assert.deepEqual(account.slice(1).sort(), ['  no such disk', '  some output']);
  });

  it('goes on after a host was cut off for a while, and ends when it is for good', async () => {
    const running = launchEndless(['--dead-after', '4']);
    const host = hosts.hosts[2]!;
    await untilStep(1, running);
    hosts.setLink(host, 'down');
    await delay(1_500);
    const steps = stepsOf(running.run) + 3;
    hosts.setLink(host, 'up');
    await untilStep(steps, running);
    assert.doesNotMatch(logOf(running.run), /node left|actor crashed/);
    hosts.setLink(host, 'down');
    assert.equal(await running.ended, 3, running.output.stderr);
    const message = `^${host.address} \\(rank 2\\) is lost: `;
    assert.match(running.output.stderr, new RegExp(message, 'm'));
    await until(() => hosts.processesOn(host).length === 0);
    hosts.setLink(host, 'up');
    const alone = newRun();
    await trainTiny(demo, alone, [
      ...items,
      'worker.reward.reward_function=test/support/letters-reward.ts:score',
      `trainer.max_steps=${steps + 1}`,
    ]);
    const [numbers, expected] = [running.run, alone].map((one) => numbersOf(one).slice(0, steps));
    assert.deepEqual(numbers, expected);
  });

  it('ends everywhere when it is killed outright', async () => {
    const running = launchEndless([], ['worker.rollout.num_workers=1']);
    await until(() => nodeCounts().every((count) => count === 1));
    running.child.kill('SIGKILL');
    assert.equal(await running.ended, 'SIGKILL');
    await until(() => nodeCounts().every((count) => count === 0));
  });

  it('says which hosts are missing when they do not join in time', async () => {
    const { output, ended } = launchEndless([
      '--join-timeout',
      '3',
      '--remote-command',
      'cat >/dev/null',
    ]);
    assert.equal(await ended, 3);
    assert.match(
      output.stderr,
      /\(rank 0\), .*\(rank 1\), .*\(rank 2\): did not join within 3 s; if this host/,
    );
  });

  it('refuses more than there are slots, with both numbers', async () => {
    const flags = ['--hostfile', hostfile, '--np', '7'];
    const { exitCode, text } = await runHere(['launch', ...flags, '--', 'train']);
    assert.equal(exitCode, 2);
    assert.match(
      text,
      /^7 ranks are asked for and there are 6 slots \(.* 2, .* 2, .* 2\): ask for no more/,
    );
  });
});

describe('cxmind launch', () => {
  it('starts nodes on this host without ssh', async () => {
    using folder = new TemporaryDirectory();
    const [demo, run] = [join(folder.path, 'demo'), join(folder.path, 'run')];
    await writeTinyDemo(demo);
    const train = ['train', ...tinyItems(demo, run, ['trainer.local_mode=false'])];
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
    [
      ['--hostfile', 'none', '--', 'train'],
      /^none: cannot read this hostfile: no such file or directory$/m,
    ],
    [['--host', '-x', '--', 'train'], /^--host: -x: neither a host name nor an address$/m],
  ] as const) {
    it(`refuses '${args.join(' ')}'`, async () => {
      const { exitCode, text } = await runHere(['launch', ...args]);
      assert.equal(exitCode, 2);
      assert.match(text, message);
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
