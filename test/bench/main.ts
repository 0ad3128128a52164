import { execFileSync } from 'node:child_process';
import { exposeCollector } from '../../bin/expose-collector.js';
import { benchActors } from './actors.bench.ts';
import { benchAdapters } from './adapters.bench.ts';
import { benchAsync } from './async.bench.ts';
import { benchCollectives } from './collectives.bench.ts';
import { benchDashboard } from './dashboard.bench.ts';
import { benchData } from './data.bench.ts';
import { benchCurriculum } from './curriculum.bench.ts';
import { benchExperts } from './experts.bench.ts';
import { peakMemory, print } from './harness.ts';
import { benchDecode } from './decode.bench.ts';
import { benchDigits } from './digits.bench.ts';
import { benchLearner } from './learner.bench.ts';
import { benchLink } from './link.bench.ts';
import { benchOrt } from './ort.bench.ts';
import { benchPlan } from './plan.bench.ts';
import { benchRestarts } from './restarts.bench.ts';
import { benchRows } from './rows.bench.ts';
import { benchServe } from './serve.bench.ts';
import { benchStep } from './step.bench.ts';

exposeCollector();

/** Every bench by name; each runs in a process of its own, so that peak memory is its own. */
const benches: Readonly<Record<string, () => Promise<void> | void>> = {
  actors: benchActors,
  adapters: benchAdapters,
  async: benchAsync,
  collectives: benchCollectives,
  dashboard: benchDashboard,
  data: benchData,
  curriculum: benchCurriculum,
  decode: benchDecode,
  digits: benchDigits,
  experts: benchExperts,
  learner: benchLearner,
  link: benchLink,
  ort: benchOrt,
  plan: benchPlan,
  restarts: benchRestarts,
  rows: benchRows,
  serve: benchServe,
  step: benchStep,
};

const [only, ...more] = process.argv.slice(2);
const bench = only === undefined ? undefined : benches[only];
if (bench !== undefined && more.length === 0) {
  await bench();
  print({ name: `${only!}.peakMemory`, params: {}, unit: 'MiB' }, [peakMemory()]);
} else {
  const names = only === undefined ? Object.keys(benches) : [only, ...more];
  const unknown = names.filter((name) => !Object.hasOwn(benches, name));
  if (unknown.length > 0) {
    process.stderr.write(
      `no bench ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}\n`,
    );
    process.exitCode = 2;
  } else {
    for (const name of names) {
      execFileSync(process.execPath, [import.meta.filename, name], { stdio: 'inherit' });
    }
  }
}
