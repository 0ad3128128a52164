/** The file of a curriculum's folder that lists the stages that have ended, `curriculum.json`. */
import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import * as t from 'io-ts';
import { jsonIn } from '../../src/check/json.ts';
import { CxmindError } from '../../src/errors.ts';
import { writeJson } from '../../src/files.ts';
import { RunSummary } from './files.ts';

/** Result of a stage, measured on its own validation set. */
export const StageSummary = t.intersection([t.type({ name: t.string }), RunSummary]);
export type StageSummary = t.TypeOf<typeof StageSummary>;

const FILE = 'curriculum.json';

/**
 * Reads the stages of a curriculum that have ended from `curriculum.json`; none where the file is missing. Paths are
 * resolved against the folder, which may have moved.
 *
 * @param names of all stages, in order
 * @throws CHECKPOINT_INVALID for a file that is not a curriculum's, or has other stages
 */
export async function endedStages(
  folder: string,
  names: readonly string[],
): Promise<StageSummary[]> {
  const file = join(folder, FILE);
  if (!existsSync(file)) return [];
  const ended = await jsonIn(t.array(StageSummary), file);
  if (ended === undefined) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${file}: expected the list of stages that have ended; without the file, each stage goes on from its own checkpoints`,
    );
  }
  const other = ended.findIndex(({ name }, index) => names[index] !== name);
  if (other < 0)
    return ended.map((stage) => withCheckpoint(stage, (path) => resolve(folder, path)));
  throw new CxmindError(
    'CHECKPOINT_INVALID',
    `${file}: stage ${other + 1} was ${ended[other]!.name}, and the config's is ` +
      `${names[other] ?? 'missing'}; trainer.save_checkpoint_path names another folder, ` +
      'trainer.find_last_checkpoint=false starts afresh',
  );
}

/** Writes the stages that have ended, with paths relative to the folder. */
export async function noteEnded(folder: string, stages: readonly StageSummary[]): Promise<void> {
  const noted = stages.map((stage) => withCheckpoint(stage, (path) => relative(folder, path)));
  await writeJson(join(folder, FILE), noted);
}

function withCheckpoint(stage: StageSummary, place: (path: string) => string): StageSummary {
  const { checkpoint } = stage;
  return { ...stage, checkpoint: checkpoint === null ? null : place(checkpoint) };
}
