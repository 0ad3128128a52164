import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { hostsOf } from '../../transport/launch/allocation.ts';
import { readHostfile } from '../../transport/launch/hostfile.ts';
import { cxmind, runHere, start, until, type Running } from '../support/cxmind-process.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import {
  endlessItems,
  numbersOf,
  tinyItems,
  trainTiny,
  writeTinyDemo,
} from '../support/tiny-run.ts';

const examples = join(import.meta.dirname, '../../examples/launch');

const items = ['worker.rollout.num_workers=2', 'trainer.val_before_train=false'];

/** Variables that srun gives to one of its tasks. The host has a name that no interface of this machine has. */
function slurmTask(rank: number, size: number): Record<string, string> {
  return {
    SLURM_JOB_ID: String(process.pid),
    SLURM_STEP_ID: '0',
    SLURM_STEP_NODELIST: `node[0-${size - 1}]`,
    SLURM_NTASKS: String(size),
    SLURM_PROCID: String(rank),
    SLURM_LOCALID: '0',
    SLURM_CPUS_PER_TASK: '2',
    SLURMD_NODENAME: `node${rank}`,
  };
}

describe('cxmind launch under a scheduler', function () {
  this.timeout(120_000);
  let folder: TemporaryDirectory;
  let demo: string;
  let count = 0;
  const newRun = (): string => join(folder.path, `run-${count++}`);
  const train = (run: string): string[] => ['train', ...tinyItems(demo, run, items)];
  const logOf = (run: string): string => readFileSync(join(run, 'cxmind.log'), 'utf8');

  before(async () => {
    folder = new TemporaryDirectory();
    demo = join(folder.path, 'demo');
    await writeTinyDemo(demo);
    await trainTiny(demo, join(folder.path, 'alone'), items);
  });
  after(() => folder[Symbol.dispose]());

  async function assertEnd(running: readonly Running[], codes: readonly number[]): Promise<void> {
    const ends = await Promise.all(running.map(({ ended }) => ended));
    assert.deepEqual(ends, codes, running.map(({ output }) => output.stderr).join('\n'));
  }

  function assertTrained(run: string, nodes: readonly string[]): void {
    assert.deepEqual(numbersOf(run), numbersOf(join(folder.path, 'alone')));
    for (const node of nodes) assert.ok(logOf(run).includes(`"node":"${node}","restarts"`), node);
    assert.deepEqual(
      readdirSync(run).filter((name) => name.includes('ticket')),
      [],
    );
  }

  describe('srun', () => {
    it('is led by rank 0, which invites the others by a file that only its user reads', async () => {
      const run = newRun();
      const head = cxmind(['launch', '--', ...train(run)], slurmTask(0, 3));
      const ticket = join(run, `.cxmind-slurm-${process.pid}.0.0.ticket`);
      await until(() => existsSync(ticket));
      assert.equal(statSync(ticket).mode & 0o777, 0o600);
      const others = [1, 2].map((rank) =>
        cxmind(['launch', '--', ...train(run)], slurmTask(rank, 3)),
      );
      await assertEnd([head, ...others], [0, 0, 0]);
      assertTrained(run, ['node1', 'node2']);
    });

    /** Waits until a step is done; what ends before has something to say. */
    async function untilStep(run: string, running: readonly Running[]): Promise<void> {
      const early = running.map(async ({ ended, output }) => {
        assert.fail(`ended early with ${await ended}: ${output.stderr}`);
      });
      const step = until(() => existsSync(join(run, 'metrics.jsonl')));
      await Promise.race([step, ...early]);
    }

    it('ends nodes when rank 0 ends, even when that is killed', async () => {
      const run = newRun();
      const launch = ['launch', '--dead-after', '4', '--', ...train(run), ...endlessItems];
      const [head, node] = [0, 1].map((rank) => cxmind(launch, slurmTask(rank, 2)));
      await untilStep(run, [head!, node!]);
      head!.child.kill('SIGKILL');
      assert.equal(await node!.ended, 3);
      assert.match(node!.output.stderr, /silent|no answer|lost/i);
    });

    it('ends the run when a node is lost', async () => {
      const run = newRun();
      const launch = ['launch', '--dead-after', '4', '--', ...train(run), ...endlessItems];
      const [head, node] = [0, 1].map((rank) => cxmind(launch, slurmTask(rank, 2)));
      await untilStep(run, [head!, node!]);
      node!.child.kill('SIGKILL');
      assert.equal(await head!.ended, 3);
      assert.match(head!.output.stderr, /^node1 \(rank 1\) is lost: /m);
    });

    it('says on each rank what it waited for in vain', async () => {
      const launch = ['launch', '--join-timeout', '2', '--', ...train(newRun())];
      const flags = ['--join-timeout', '2', '--rendezvous', folder.path];
      const head = cxmind(launch, slurmTask(0, 3));
      const node = cxmind(['launch', ...flags, '--', 'train'], slurmTask(1, 3));
      await assertEnd([head, node], [3, 3]);
      assert.match(
        head.output.stderr,
        /^rank 1, 2 of 3 did not join within 2 s: all processes must see /m,
      );
      const expected = `rank 1: no word of rank 0 on node0 in ${folder.path} within 2 s; if hosts do not share`;
      assert.ok(node.output.stderr.startsWith(expected), node.output.stderr);
    });

    it('runs the example', async () => {
      assert.equal(spawnSync('bash', ['-n', join(examples, 'slurm.sbatch')]).status, 0);
      // in place of srun, for two of the hosts that the script asks for
      const srun = `#!/bin/bash
while [[ $1 == --* ]]; do shift; done
export SLURM_STEP_ID=0 SLURM_NTASKS=2 SLURM_STEP_NODELIST='node[0-1]'
for rank in 0 1; do SLURM_PROCID=$rank SLURMD_NODENAME=node$rank "$@" & done
wait`;
      const tools = new TemporaryDirectory();
      spawnSync('chmod', ['+x', tools.write('srun', srun)]);
      const PATH = `${tools.path}${delimiter}${process.env['PATH']}`;
      const run = newRun();
      const example = [join(examples, 'slurm.sbatch'), ...tinyItems(demo, run, items)];
      const variables = { PATH, SLURM_JOB_ID: '1', SLURM_CPUS_PER_TASK: '1' };
      await assertEnd([start('bash', example, variables)], [0]);
      tools[Symbol.dispose]();
      assertTrained(run, ['node1']);
    });
  });

  describe('mpirun', () => {
    before(function () {
      if (spawnSync('mpirun', ['--version']).status === 0) return;
      console.log('      skipped: there is no mpirun here: apt-get install openmpi-bin');
      this.skip();
    });

    it('runs the example', async () => {
      assert.equal(spawnSync('sh', ['-n', join(examples, 'mpirun.sh')]).status, 0);
      const run = newRun();
      const variables = {
        NP: '2',
        HOSTFILE: folder.write('hosts', 'localhost slots=2\n'),
        OMPI_ALLOW_RUN_AS_ROOT: '1',
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
      };
      const example = [join(examples, 'mpirun.sh'), ...tinyItems(demo, run, items)];
      await assertEnd([start('sh', example, variables)], [0]);
      assert.deepEqual(numbersOf(run), numbersOf(join(folder.path, 'alone')));
      assert.equal(logOf(run).match(/"node joined"/g)?.length, 1);
    });
  });

  describe('an indexed job of Kubernetes', () => {
    interface Manifest {
      readonly kind: string;
      readonly metadata: { readonly name: string };
      readonly spec: Record<string, unknown>;
    }
    const text = readFileSync(join(examples, 'kubernetes.yaml'), 'utf8');
    const [service, job] = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
    const { template } = job!.spec as {
      template: {
        spec: { subdomain: string; containers: { command: string[]; args: string[] }[] };
      };
    };
    const { command, args } = template.spec.containers[0]!;

    it('fits together in the example', () => {
      assert.deepEqual([service!.kind, job!.kind], ['Service', 'Job']);
      assert.deepEqual(service!.spec['selector'], { 'job-name': job!.metadata.name });
      assert.equal(service!.spec['clusterIP'], 'None');
      assert.equal(template.spec.subdomain, service!.metadata.name);
      assert.equal(job!.spec['completionMode'], 'Indexed');
      assert.ok(args.includes(`--np=${job!.spec['completions'] as number}`));
      assert.ok(args.includes(`--head-address=${job!.metadata.name}-0.${service!.metadata.name}`));
      assert.deepEqual(command, ['npx', 'cxmind', 'launch']);
    });

    it('runs the example, with keys from a file instead of a folder to meet in', async () => {
      const keys = join(folder.path, 'keys.json');
      assert.equal(await cxmind(['launch', '--write-keys', keys]).ended, 0);
      assert.equal(statSync(keys).mode & 0o777, 0o600);
      const run = newRun();
      const place: Readonly<Record<string, string>> = {
        '--np': '2',
        '--keys': keys,
        '--head-address': '127.0.0.1',
        '--port': String(20_000 + (process.pid % 20_000)),
      };
      const flags = args.slice(0, args.indexOf('--')).map((flag) => {
        const [name] = flag.split('=');
        return place[name!] === undefined ? flag : `${name}=${place[name!]}`;
      });
      const pods = ['0', '1'].map((index) =>
        cxmind(['launch', ...flags, '--', ...train(run)], { JOB_COMPLETION_INDEX: index }),
      );
      await assertEnd(pods, [0, 0]);
      assert.deepEqual(numbersOf(run), numbersOf(join(folder.path, 'alone')));
    });

    it('refuses keys that others may read', async () => {
      const keys = folder.write('open.json', '{}');
      spawnSync('chmod', ['644', keys]);
      const flags = ['--np=2', `--keys=${keys}`, '--head-address=a', '--port=7000'];
      const launch = ['launch', ...flags, '--', 'train'];
      const { exitCode, text } = await runHere(launch, { JOB_COMPLETION_INDEX: '1' });
      assert.equal(exitCode, 2);
      assert.match(text, /open\.json: holds keys, and its mode 644 is too open/);
    });
  });
});

describe('the example of a hostfile', () => {
  it('is one', async () => {
    const hosts = hostsOf(await readHostfile(join(examples, 'hosts')), { bareSlots: 'cores' });
    assert.deepEqual(
      hosts.map(({ host, slots }) => `${host} ${slots}`),
      ['node01 4', 'node02 4', 'node03 cores'],
    );
    assert.equal(spawnSync('sh', ['-n', join(examples, 'ssh.sh')]).status, 0);
  });
});
