import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { defaultHeartbeat } from '../../transport/zmq/liveness.ts';
import { cxmind, until, type Running } from '../support/cxmind-process.ts';
import { NodeProcesses } from '../support/node-processes.ts';
import { SshHosts, type SshHost } from '../support/ssh-hosts.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { tinyItems, trainTiny, writeTinyDemo } from '../support/tiny-run.ts';
import { assertSameRun, resultOf, savedStep, type RunResult } from './audit.ts';

const STEPS = 12;
const SHORT_CUT_MS = 5_000;
const LONG_CUT_MS = 60_000;
/** Silence after which a node is lost unless `launch` is told otherwise. */
const DEAD_AFTER_MS = 10_000;
const WEATHER = { delayMs: 200, loss: 0.05, seed: 1 };

// A run that has lost a node lives on for a second, in which the process there may tell why. The steps that are left
// take longer.
const reward = fileURLToPath(new URL('../support/letters-reward.ts', import.meta.url));
const items = [
  `worker.reward.reward_function=${reward}:scoreIn200Ms`,
  'worker.rollout.num_workers=3',
  'data.rollout_batch_size=6',
  'worker.actor.global_batch_size=6',
  'trainer.total_epochs=100',
  `trainer.max_steps=${STEPS}`,
  'trainer.save_freq=1',
  'trainer.save_limit=2',
];

/** Runs over three hosts of network namespaces, one of which is cut off for a while. */
export class CutHarness implements AsyncDisposable {
  readonly #folder: string;
  readonly #hosts: SshHosts;
  readonly #alone: RunResult;

  private constructor(folder: string, hosts: SshHosts, alone: RunResult) {
    this.#folder = folder;
    this.#hosts = hosts;
    this.#alone = alone;
  }

  /** Makes hosts and data, and trains once in this process. */
  static async open(folder: string): Promise<CutHarness> {
    await writeTinyDemo(join(folder, 'demo'));
    const run = join(folder, 'alone');
    await trainTiny(join(folder, 'demo'), run, items);
    return new CutHarness(folder, await SshHosts.start(3), resultOf(run, STEPS));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#hosts[Symbol.asyncDispose]();
  }

  /** A cut shorter than the silence that a link takes: nothing is lost. */
  async short(): Promise<string> {
    const run = join(this.#folder, 'short');
    const running = this.#launch(run, []);
    await this.#cut(run, running);
    await delay(SHORT_CUT_MS);
    this.#heal();
    assert.equal(await running.ended, 0, running.output.stderr);
    assert.doesNotMatch(logOf(run), /PEER_LOST|actor crashed/);
    assertSameRun(resultOf(run, STEPS), this.#alone);
    return `cut for ${SHORT_CUT_MS / 1000} s: nothing was lost, same weights`;
  }

  /** A host behind a network of 200 ms each way that loses one segment in twenty, by a proxy. */
  async slow(): Promise<string> {
    const run = join(this.#folder, 'slow');
    await using processes = await NodeProcesses.open(defaultHeartbeat);
    await using proxy = await TcpProxy.to(processes.endpoint, WEATHER);
    const nodes = [await processes.start('slow', [], proxy.endpoint)];
    await trainTiny(join(this.#folder, 'demo'), run, items, { nodes, slots: 0 });
    assertSameRun(resultOf(run, STEPS), this.#alone);
    return `behind ${WEATHER.delayMs} ms and ${100 * WEATHER.loss} % loss: same weights`;
  }

  /** A cut longer than that, where others are to go on: they do, and what is cut off ends by itself. */
  async longAndGoingOn(): Promise<string> {
    const run = join(this.#folder, 'going-on');
    const running = this.#launch(run, ['--keep-going']);
    const cutAt = await this.#cut(run, running);
    await until(() => /"msg":"node left"/.test(logOf(run)));
    const lostAfterMs = performance.now() - cutAt;
    assertAbout(lostAfterMs, DEAD_AFTER_MS);
    assert.equal(await running.ended, 0, running.output.stderr);
    assertSameRun(resultOf(run, STEPS), this.#alone);
    await until(() => this.#hosts.processesOn(this.#victim).length === 0);
    await delay(Math.max(0, LONG_CUT_MS - (performance.now() - cutAt)));
    this.#heal();
    return `cut for ${LONG_CUT_MS / 1000} s with --keep-going: lost after ${seconds(lostAfterMs)}, same weights`;
  }

  /** The same where nobody said so: the run ends, and started again ends as it would have. */
  async longAndResumed(): Promise<string> {
    const run = join(this.#folder, 'resumed');
    const running = this.#launch(run, []);
    const cutAt = await this.#cut(run, running);
    assert.equal(await running.ended, 3, running.output.stderr);
    const endedAfterMs = performance.now() - cutAt;
    assertAbout(endedAfterMs, DEAD_AFTER_MS);
    assert.match(running.output.stderr, / is lost: /);
    await until(() => this.#hosts.processesOn(this.#victim).length === 0);
    await delay(Math.max(0, LONG_CUT_MS - (performance.now() - cutAt)));
    this.#heal();
    const again = this.#launch(run, []);
    assert.equal(await again.ended, 0, again.output.stderr);
    assertSameRun(resultOf(run, STEPS), this.#alone);
    return `cut for ${LONG_CUT_MS / 1000} s: ended after ${seconds(endedAfterMs)}, resumed to the same weights`;
  }

  get #victim(): SshHost {
    return this.#hosts.hosts[2]!;
  }

  #launch(run: string, flags: readonly string[]): Running {
    const list = this.#hosts.hosts.map(({ address }) => `${address}:2`).join(',');
    const ssh = this.#hosts.sshOptions.flatMap((option) => ['--ssh-option', option]);
    const train = ['train', ...tinyItems(join(this.#folder, 'demo'), run, items)];
    return cxmind(['launch', '--host', list, ...ssh, ...flags, '--', ...train]);
  }

  /** Cuts the host off once two steps are done; says when. */
  async #cut(run: string, { ended, output }: Running): Promise<number> {
    const early = ended.then((code) => {
      if (savedStep(run) < 2) assert.fail(`ended with ${code}: ${output.stderr}`);
    });
    await Promise.race([until(() => savedStep(run) >= 2), early]);
    this.#hosts.setLink(this.#victim, 'down');
    return performance.now();
  }

  #heal(): void {
    this.#hosts.setLink(this.#victim, 'up');
  }
}

function logOf(run: string): string {
  return readFileSync(join(run, 'cxmind.log'), 'utf8');
}

/** Silence is counted in beats, and a busy machine is late with them. */
function assertAbout(durationMs: number, expectedMs: number): void {
  const isAbout = durationMs > 0.8 * expectedMs && durationMs < 2.5 * expectedMs;
  assert.ok(isAbout, `it took ${seconds(durationMs)}, not about ${seconds(expectedMs)}`);
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}
