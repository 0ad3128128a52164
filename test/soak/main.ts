import { serveGolden } from '../support/chat-server.ts';
import { besiege } from '../support/hostile-requests.ts';
import { whyNoHosts } from '../support/ssh-hosts.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { CutHarness } from './cuts.ts';
import { KillHarness, type KilledRun } from './kills.ts';

/*
 * Long tests of whole runs whose processes and networks fail, and of a server that is attacked, a line for each case and
 * an exit code:
 *
 *   npm run soak                 everything
 *   npm run soak kills           fifty runs whose processes are killed
 *   npm run soak kills 7 19      those of two seeds
 *   npm run soak cuts            hosts cut off for 5 and for 60 s, and one behind a slow network
 *   npm run soak hostile         a chat server under 1,000 hostile requests
 */

const SEEDS = 50;
const HOSTILE_REQUESTS = 1000;

/** Cases by their names; each says what it showed, or throws. */
type Case = readonly [name: string, run: () => Promise<string>];

async function soakKills(folder: string, seeds: readonly number[]): Promise<number> {
  const harness = await KillHarness.open(folder);
  return holding(
    seeds.map((seed) => [`seed ${seed}`, async () => describe(await harness.run(seed))]),
  );
}

async function soakCuts(folder: string): Promise<number> {
  const why = whyNoHosts();
  if (why !== undefined) {
    say(`cuts: skipped: ${why}`);
    return 0;
  }
  await using harness = await CutHarness.open(folder);
  return await holding([
    ['short cut', () => harness.short()],
    ['slow network', () => harness.slow()],
    ['long cut, going on', () => harness.longAndGoingOn()],
    ['long cut, resumed', () => harness.longAndResumed()],
  ]);
}

async function soakHostile(): Promise<number> {
  await using served = await serveGolden();
  const besieged = async (): Promise<string> => {
    const answers = await besiege(served, HOSTILE_REQUESTS);
    return `no error of the server's own, and ${answers} answers to another client, all the same`;
  };
  return await holding([[`${HOSTILE_REQUESTS} hostile requests`, besieged]]);
}

/** Runs cases one after the other; returns how many failed. */
async function holding(cases: readonly Case[]): Promise<number> {
  let failed = 0;
  for (const [name, run] of cases) {
    const started = performance.now();
    const outcome = await run().catch((error: unknown) => {
      failed++;
      return `FAILED: ${String(error)}`;
    });
    say(`${name}: ${outcome} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  }
  say(`${cases.length - failed} of ${cases.length} held`);
  return failed;
}

function describe({ kills, lives, repeatedSteps }: KilledRun): string {
  const killed = kills.map(
    ({ victim, rank, afterStep, delayMs }) =>
      `${victim} (rank ${rank}) ${Math.round(delayMs)} ms after step ${afterStep}`,
  );
  return `killed ${killed.join(' and ')}; ${lives} lives, ${repeatedSteps} steps repeated, each group once, same weights`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const [only, ...seeds] = process.argv.slice(2);
using folder = new TemporaryDirectory();
let failed = 0;
if (only === undefined || only === 'kills') {
  const wanted = seeds.length > 0 ? seeds.map(Number) : Array.from({ length: SEEDS }, (_, i) => i);
  failed += await soakKills(folder.path, wanted);
}
if (only === undefined || only === 'cuts') failed += await soakCuts(`${folder.path}/cuts`);
if (only === undefined || only === 'hostile') failed += await soakHostile();
process.exitCode = failed === 0 ? 0 : 1;
