/**
 * A training run from a program of your own: the config as items of a command line, every step as it ends, and a way to
 * stop. Run it: `npx node grpo.ts config=FILE`, in this repository
 * `npx node --conditions=cxmind-source examples/grpo.ts config=examples/from-trl/config.yaml`.
 */
import { configFrom, createLogger } from 'cxmind';
import { silentReporter, trainPolicy, type Reporter } from 'cxmind/actors';

/** Trains by a config; aborting `signal` ends the run. @returns the directory of the last checkpoint */
export async function train(items: readonly string[], signal: AbortSignal): Promise<string | null> {
  const { config, warnings } = await configFrom(items, { purpose: 'train' });
  for (const warning of warnings) console.warn(warning);
  const reporter: Reporter = {
    ...silentReporter,
    step: ({ step, reward, seconds }) =>
      console.log(`step ${step}: reward ${reward.toFixed(3)} in ${seconds.toFixed(1)} s`),
  };
  await using log = createLogger({ level: 'warn' });
  const { checkpoint } = await trainPolicy(config, { reporter, logger: log.logger, signal });
  return checkpoint;
}

if (import.meta.main) {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort(new Error('interrupted')));
  console.log(await train(process.argv.slice(2), stop.signal));
}
