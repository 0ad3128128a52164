import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { metricsOf, tinyItems, writeTinyDemo } from '../support/tiny-run.ts';
import {
  assertSameRun,
  assertTidy,
  assertTrainedOnce,
  lastStep,
  resultOf,
  savedStep,
  type Expected,
  type RunResult,
} from './audit.ts';
import { killPlan, SLOTS, STEPS, type Kill, type Pace } from './kill-plan.ts';
import { TaskJob, type TaskEnd } from './task-job.ts';

const PHASES = ['data', 'gen', 'reward', 'old', 'ref', 'adv', 'update_actor'];
/** No run takes so long unless something in it waits for ever. */
const LIFE_DEADLINE_MS = 180_000;
const LOOK_MS = 5;

const reward = fileURLToPath(new URL('../support/letters-reward.ts', import.meta.url));
const items = [
  `worker.reward.reward_function=${reward}:scoreIn100Ms`,
  'worker.rollout.num_workers=2',
  'worker.reward.num_workers=2',
  'worker.actor.num_workers=2',
  'data.rollout_batch_size=4',
  'worker.actor.global_batch_size=2',
  'worker.rollout.n=4',
  'trainer.max_steps=null',
  'trainer.total_epochs=2',
  'trainer.save_freq=1',
  'trainer.save_limit=2',
  'trainer.val_before_train=false',
  'trainer.threads=1',
];

/** Outcome of a run whose processes were killed. */
export interface KilledRun {
  readonly kills: readonly Kill[];
  /** Number of times that the job was started. */
  readonly lives: number;
  /** Steps that were done once more, after the loss of what they had led to. */
  readonly repeatedSteps: number;
}

/** Runs of a tiny policy over four processes, some of which are killed; each is compared with one left alone. */
export class KillHarness {
  readonly #folder: string;
  readonly #expected: Expected;
  readonly #undisturbed: RunResult;
  readonly #pace: Pace;

  private constructor(folder: string, expected: Expected, undisturbed: RunResult, pace: Pace) {
    this.#folder = folder;
    this.#expected = expected;
    this.#undisturbed = undisturbed;
    this.#pace = pace;
  }

  /** Makes the data and trains once without a kill. */
  static async open(folder: string): Promise<KillHarness> {
    await writeTinyDemo(join(folder, 'demo'));
    const rows = readFileSync(join(folder, 'demo/closed-train.jsonl'), 'utf8')
      .trimEnd()
      .split('\n');
    const expected: Expected = {
      prompts: rows.length,
      steps: STEPS,
      stepsPerEpoch: STEPS / 2,
      responsesPerPrompt: 4,
    };
    const run = join(folder, 'undisturbed');
    const started = performance.now();
    const job = new TaskJob('undisturbed', SLOTS, argsOf(folder, run));
    const ending = job.ended;
    await untilSaved(run, 1, ending);
    const startMs = performance.now() - started;
    await untilSaved(run, STEPS, ending);
    const stepMs = (performance.now() - started - startMs) / (STEPS - 1);
    assertEnded(await ending, new Set());
    const undisturbed = resultOf(run, STEPS);
    assertTrainedOnce(undisturbed, expected);
    return new KillHarness(folder, expected, undisturbed, {
      startMs,
      stepMs,
      phasesMs: phasesOf(run),
    });
  }

  /**
   * Trains with the kills of a seed, starting the job again, as its user would, as often as it fails.
   *
   * @throws AssertionError when the run does not end, or did not train on everything just once
   */
  async run(seed: number): Promise<KilledRun> {
    const kills = killPlan(seed, this.#pace);
    const run = join(this.#folder, `seed-${seed}`);
    const due = [...kills];
    const failures: string[] = [];
    let [lives, repeatedSteps] = [0, 0];
    for (let isOver = false; !isOver; lives++) {
      assert.ok(lives <= kills.length, `more failures than kills:\n${failures.join('\n')}`);
      const ends = await this.#live(`seed-${seed}-${lives}`, run, due);
      isOver = ends[0]!.code === 0;
      if (!isOver) failures.push(describe(ends));
      const repeated = lastStep(run) - savedStep(run);
      assert.ok(repeated <= 1, `${repeated} steps are to be repeated`);
      repeatedSteps += repeated;
    }
    // the loss of a node that has joined, and hosts no learner, is no reason to start again
    if (kills.every(({ victim, afterStep }) => afterStep > 0 && isReplaceable(victim))) {
      assert.equal(lives, 1, `it ended though others could go on:\n${failures.join('\n')}`);
    }
    const result = resultOf(run, STEPS);
    assertTrainedOnce(result, this.#expected);
    assertSameRun(result, this.#undisturbed);
    assertTidy(run);
    return { kills, lives, repeatedSteps };
  }

  /** One life of the job, in which kills fall due: how its processes ended. */
  async #live(id: string, run: string, due: Kill[]): Promise<TaskEnd[]> {
    const job = new TaskJob(id, SLOTS, argsOf(this.#folder, run));
    const over = new AbortController();
    const killed = new Set<number>();
    const killing = killWhenDue(job, run, due, killed, over.signal);
    const deadline = delay(LIFE_DEADLINE_MS, 'late' as const, { signal: over.signal }).catch(
      () => 'over' as const,
    );
    const ends = await Promise.race([job.ended, deadline]);
    over.abort();
    await killing;
    if (ends === 'late' || ends === 'over') {
      await job.abandon();
      assert.fail(`the job did not end within ${LIFE_DEADLINE_MS / 1000} s`);
    }
    if (ends[0]!.code === 0) assertEnded(ends, killed);
    else assert.ok(killed.size > 0, `nothing was killed, and it ended:\n${describe(ends)}`);
    return ends;
  }
}

function argsOf(folder: string, run: string): string[] {
  const train = ['train', ...tinyItems(join(folder, 'demo'), run, items)];
  return ['--dead-after', '6', '--join-timeout', '60', '--keep-going', '--', ...train];
}

async function killWhenDue(
  job: TaskJob,
  run: string,
  due: Kill[],
  killed: Set<number>,
  signal: AbortSignal,
): Promise<void> {
  try {
    for (;;) {
      const [kill] = due;
      if (kill === undefined) return;
      while (savedStep(run) < kill.afterStep) await delay(LOOK_MS, undefined, { signal });
      await delay(kill.delayMs, undefined, { signal });
      due.shift();
      if (job.kill(kill.rank)) killed.add(kill.rank);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Waits for the checkpoint of a step. */
async function untilSaved(
  run: string,
  step: number,
  ending: Promise<readonly TaskEnd[]>,
): Promise<void> {
  let early: readonly TaskEnd[] | undefined;
  void ending.then((ends) => (early = ends));
  while (savedStep(run) < step) {
    if (early !== undefined && savedStep(run) < step) assert.fail(describe(early));
    await delay(LOOK_MS);
  }
}

/** Every process left in order, those that were killed apart. */
function assertEnded(ends: readonly TaskEnd[], killed: ReadonlySet<number>): void {
  const bad = ends.filter(({ rank, code }) => code !== 0 && !killed.has(rank));
  assert.deepEqual(bad, [], `processes that failed: ${describe(bad)}`);
}

function describe(ends: readonly TaskEnd[]): string {
  return ends
    .map(({ rank, code, stderr }) => `rank ${rank} ended with ${code}: ${stderr}`)
    .join('\n');
}

function isReplaceable(victim: Kill['victim']): boolean {
  return victim !== 'learner' && victim !== 'head';
}

/** Median duration of each phase of a step. */
function phasesOf(run: string): Pace['phasesMs'] {
  const lines = metricsOf(run);
  return PHASES.map((phase) => {
    const times = lines
      .map((line) => (line[`timing_s/${phase}`] ?? 0) * 1000)
      .sort((a, b) => a - b);
    return [phase, times[Math.floor(times.length / 2)]!] as const;
  });
}
