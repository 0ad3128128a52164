import { dirname, join, resolve } from 'node:path';
import { Config } from '../../src/config/schema.ts';
import { CxmindError } from '../../src/errors.ts';
import { changeLines, configChanges, configOfRun, refuseMisfits } from './config-changes.ts';
import { restore, type Checkpoints, type ResumePoint } from './checkpoints.ts';
import { filesOfSteps, type RunFiles } from './run-files.ts';
import { setAside } from './set-aside.ts';
import type { StepContext } from './context.ts';

/** What a run needs to know of the one before it. */
export type GoingOn = Pick<StepContext, 'cast' | 'config' | 'replays' | 'reporter'>;

const TIMEOUT_MS = 60_000;

/**
 * Restores the checkpoint that a run goes on from, and tells what it does otherwise than before; null for a run that
 * begins. What its folder has of steps that it takes anew is set aside.
 *
 * @throws CHECKPOINT_INVALID for a folder with a run that cannot be gone on with
 */
export async function goOn(
  context: GoingOn,
  checkpoints: Checkpoints,
  files: RunFiles,
): Promise<(ResumePoint & { readonly checkpoint: string }) | null> {
  const { config, reporter } = context;
  const folder = await checkpointOf(context, checkpoints);
  const point = folder === null ? null : await restored(context, checkpoints, folder);
  if (config.trainer.valOnly) return point;
  const later = await checkpoints.namesAfter(point?.step ?? 0);
  const isBegun = point === null && (later.length > 0 || (await files.hasSteps()));
  const aside = await setAside(files.folder, [...later, ...(isBegun ? filesOfSteps : [])]);
  if (aside !== null) {
    const what = isBegun
      ? 'the run that was here'
      : `what was here of steps after ${point?.step ?? 0}`;
    reporter.note(`${what} is kept in ${aside}`);
  }
  return point;
}

/** The folder of the checkpoint to go on from. */
async function checkpointOf(
  { config, reporter, cast }: GoingOn,
  checkpoints: Checkpoints,
): Promise<string | null> {
  const { loadCheckpointPath, findLastCheckpoint, valOnly } = config.trainer;
  if (loadCheckpointPath !== null) return loadCheckpointPath;
  if (!findLastCheckpoint || valOnly) return null;
  const newest = await checkpoints.newest((problem) => reporter.note(`passed over: ${problem}`));
  if (newest !== null) {
    const changes = await changesSince(newest, config);
    refuseMisfits(changes, newest, cast.critics !== null);
  }
  return newest;
}

async function restored(
  { cast, config, replays, reporter }: GoingOn,
  checkpoints: Checkpoints,
  folder: string,
): Promise<ResumePoint & { readonly checkpoint: string }> {
  const point = await restore(folder, cast);
  await checkpoints.recallBest(folder, point.step);
  const { cursor, replay } = point.state;
  if (replay.length !== replays.length) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${folder}: ${replay.length} earlier stages went on there, and ${replays.length} do here; curriculum[].mix has to ` +
        'be as it was',
    );
  }
  await cast.data.ask.seek(cursor, { timeoutMs: TIMEOUT_MS });
  for (const [i, { data }] of replays.entries()) {
    await data.ask.seek(replay[i]!.cursor, { timeoutMs: TIMEOUT_MS });
  }
  reporter.note(`resumed from ${folder}`);
  const changes = await changesSince(folder, config);
  if (changes.length > 0) {
    reporter.note(['with another config than before:', ...changeLines(changes)].join('\n'));
  }
  return { ...point, checkpoint: join(folder, 'actor', 'huggingface') };
}

async function changesSince(
  checkpoint: string,
  config: Config,
): Promise<ReturnType<typeof configChanges>> {
  const before = await configOfRun(dirname(resolve(checkpoint)));
  return before === null ? [] : configChanges(before, Config.encode(config));
}
