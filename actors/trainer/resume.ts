/** The place that a run begins at: a checkpoint that it resumes from, or the beginning. */
import { dirname, join, resolve } from 'node:path';
import { CxmindError } from '../../src/errors.ts';
import { initialGateState } from '../../src/reward/gate.ts';
import { initialAdvanceState } from '../../src/training/advance.ts';
import {
  changeLines,
  configChanges,
  configOfRun,
  refuseMisfits,
} from '../run-folder/config-changes.ts';
import { restore, type Checkpoints, type ResumePoint } from '../run-folder/checkpoints.ts';
import { filesOfSteps, type RunFiles, setAside } from '../run-folder/files.ts';
import { initialKlController } from './advantages.ts';
import type { StepContext } from './context.ts';
import { readKept, type KeptBatch } from './ahead/kept-batches.ts';
import type { RunPlan } from './plan.ts';

type ResumeContext = Pick<StepContext, 'actors' | 'plan' | 'reporter'>;

/** The place that a run resumes from, and what its checkpoint has besides. */
export interface Resumed extends ResumePoint {
  /** The Hugging Face directory of the policy. */
  readonly checkpoint: string;
  /** Responses that were sampled ahead. */
  readonly kept: readonly KeptBatch[];
}

const TIMEOUT_MS = 60_000;

/**
 * Restores the checkpoint that a run resumes from, and reports changes of its config; null for a new run. Files of
 * later steps, which are taken anew, are set aside.
 *
 * @throws CHECKPOINT_INVALID for a folder whose run cannot be resumed
 */
export async function resume(
  context: ResumeContext,
  checkpoints: Checkpoints,
  files: RunFiles,
): Promise<Resumed | null> {
  const { plan, reporter } = context;
  const folder = await checkpointOf(context, checkpoints);
  const point = folder === null ? null : await restored(context, checkpoints, folder);
  if (plan.trainer.valOnly) return point;
  const later = await checkpoints.namesAfter(point?.step ?? 0);
  const isBegun = point === null && (later.length > 0 || (await files.hasSteps()));
  const { rolloutDataDir, validationDataDir } = plan.trainer;
  const samples = [rolloutDataDir, validationDataDir].filter((name) => name !== null);
  const begun = isBegun ? [...filesOfSteps, ...samples] : [];
  const aside = await setAside(files.folder, [...later, ...begun]);
  if (aside !== null) {
    const what = isBegun
      ? 'the run that was here'
      : `what was here of steps after ${point?.step ?? 0}`;
    reporter.note(`${what} is kept in ${aside}`);
  }
  return point;
}

/** The place of a run that begins. */
export function newRun({ actors, plan }: ResumeContext): ResumePoint {
  const begin = { cursor: { epoch: 0, position: 0 }, gate: initialGateState };
  const state = {
    ...begin,
    replay: actors.replays.map(() => begin),
    advance: initialAdvanceState,
    validationGate: initialGateState,
    klController: initialKlController(plan.step.algorithm),
    entropyCoeff: undefined,
  };
  return { step: 0, state, unfinished: null, accuracyBefore: null };
}

/** Finds the folder of the checkpoint to resume from. */
async function checkpointOf(
  { plan, reporter, actors }: ResumeContext,
  checkpoints: Checkpoints,
): Promise<string | null> {
  const { loadCheckpointPath, findLastCheckpoint, valOnly } = plan.trainer;
  if (loadCheckpointPath !== null) return loadCheckpointPath;
  if (!findLastCheckpoint || valOnly) return null;
  const newest = await checkpoints.newest((problem) => reporter.note(`passed over: ${problem}`));
  if (newest !== null) {
    const changes = await changesSince(newest, plan);
    refuseMisfits(changes, newest, actors.critics !== null);
  }
  return newest;
}

async function restored(
  { actors, plan, reporter }: ResumeContext,
  checkpoints: Checkpoints,
  folder: string,
): Promise<Resumed> {
  const point = await restore(folder, actors);
  await checkpoints.recallBest(folder, point.step);
  const { cursor, replay } = point.state;
  if (replay.length !== actors.replays.length) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${folder}: ${replay.length} earlier stages went on there, and ${actors.replays.length} do here; curriculum[].mix has to ` +
        'be as it was',
    );
  }
  await actors.task.data.ask.seek(cursor, { timeoutMs: TIMEOUT_MS });
  for (const [i, { data }] of actors.replays.entries()) {
    await data.ask.seek(replay[i]!.cursor, { timeoutMs: TIMEOUT_MS });
  }
  reporter.note(`resumed from ${folder}`);
  const changes = await changesSince(folder, plan);
  if (changes.length > 0) {
    reporter.note(['with another config than before:', ...changeLines(changes)].join('\n'));
  }
  const kept = await readKept(folder);
  return { ...point, kept, checkpoint: join(folder, 'actor', 'huggingface') };
}

async function changesSince(
  checkpoint: string,
  { config }: RunPlan,
): Promise<ReturnType<typeof configChanges>> {
  const before = await configOfRun(dirname(resolve(checkpoint)));
  return before === null ? [] : configChanges(before, config);
}
