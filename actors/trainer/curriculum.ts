/** Curricula: stages that are runs of their own, one after the other, each from the weights of the one before. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../../src/config/schema.ts';
import { writeJson } from '../../src/files.ts';
import type { AdvanceRule } from '../../src/training/advance.ts';
import { endedStages, noteEnded, type StageSummary } from '../run-folder/ended-stages.ts';
import { joinNodes, openSystem, trainOn, type RunOptions } from './run.ts';
import { type RunSummary, setAside } from '../run-folder/files.ts';
import { RunLock } from '../run-folder/lock.ts';
import { Timeline } from './report/timeline.ts';
import { newToken } from './spawn-dashboard.ts';

/** A stage of a curriculum: a run of its own in a folder of its own. */
export interface CurriculumStage {
  readonly name: string;
  /** Config of the stage. Its `model_path` counts only where it differs from the first stage's. */
  readonly config: Config;
  /** Ends the stage before its steps are taken. */
  readonly advance: AdvanceRule | null;
  /** Earlier stages that go on, by name, each with its share of every step's prompts. */
  readonly mix: Readonly<Record<string, number>>;
}

/** Content of a curriculum's `summary.json`. It has no accuracy, as stages have different validation sets. */
export interface CurriculumSummary extends Pick<
  RunSummary,
  'steps' | 'seconds' | 'checkpoint' | 'preempted'
> {
  readonly stages: readonly StageSummary[];
}

/**
 * Trains stage after stage. Each is a new run with its own optimizer, schedule and reference, and starts from the
 * weights that the stage before ended with, as CX-Mind's second stage does.
 *
 * A stage that has ended is not run again. One that was interrupted or preempted resumes from its newest checkpoint.
 *
 * @param folder of the whole run, with the stages' folders, `curriculum.json` and `summary.json`
 * @throws CHECKPOINT_INVALID when the folder belongs to other stages; and whatever ends a run
 */
export async function trainCurriculum(
  stages: readonly CurriculumStage[],
  folder: string,
  options: RunOptions,
): Promise<CurriculumSummary> {
  const { reporter } = options;
  await using _ = await RunLock.take(folder);
  await using system = openSystem(stages[0]!.config, options);
  const hosts = await joinNodes(system, options);
  // Stages that are only validated neither begin nor end.
  const isLook = stages.every(({ config }) => config.trainer.valOnly);
  const resumes = stages[0]!.config.trainer.findLastCheckpoint;
  if (!resumes && !isLook) await keepEarlier(folder, reporter);
  const names = stages.map(({ name }) => name);
  const ended = isLook ? [] : await endedStages(folder, names);
  if (ended.length === stages.length) {
    reporter.note(`${folder}: this run is done, all ${stages.length} stages of it`);
  }
  const timeline = new Timeline();
  const dashboard = { folder, token: newToken() };
  let preempted: StageSummary | null = null;
  for (const [index, { name, config, advance, mix }] of stages.entries()) {
    if (index < ended.length) continue;
    reporter.note(`stage ${index + 1}/${stages.length}: ${name}`);
    const previous = ended.at(-1)?.checkpoint ?? null;
    const own = previous === null ? config : startingFrom(config, stages[0]!.config, previous);
    const summary = await trainOn(system, hosts, own, {
      ...options,
      advance,
      timeline,
      dashboard,
      mix: Object.entries(mix).map(([earlier, share]) => ({
        name: earlier,
        share,
        config: stages.find((stage) => stage.name === earlier)!.config,
      })),
    });
    if (summary.preempted === true) {
      preempted = { name, ...summary };
      break;
    }
    ended.push({ name, ...summary });
    if (!isLook) await noteEnded(folder, ended);
  }
  const begun = preempted === null ? ended : [...ended, preempted];
  const summary: CurriculumSummary = {
    steps: begun.reduce((sum, { steps }) => sum + steps, 0),
    seconds: begun.reduce((sum, { seconds }) => sum + seconds, 0),
    checkpoint: begun.at(-1)!.checkpoint,
    ...(preempted !== null && { preempted: true }),
    stages: begun,
  };
  const file = join(folder, 'summary.json');
  if (!isLook || !existsSync(file)) await writeJson(file, summary);
  return summary;
}

/** Sets aside the stages of an earlier run, so that none is resumed. */
async function keepEarlier(folder: string, reporter: RunOptions['reporter']): Promise<void> {
  const stages = (await readdir(folder)).filter((name) => /^\d+-/.test(name));
  const aside = await setAside(folder, [...stages, 'curriculum.json', 'summary.json']);
  if (aside !== null) reporter.note(`the run that was here is kept in ${aside}`);
}

/** The config with the models of the stage before, unless it names models of its own. */
function startingFrom(config: Config, first: Config, checkpoint: string): Config {
  const { actor, critic } = config.worker;
  if (actor.model.modelPath !== first.worker.actor.model.modelPath) return config;
  const value = join(checkpoint, '../../critic/huggingface');
  const hasOwn = critic.model.modelPath !== first.worker.critic.model.modelPath;
  const at = <M extends object>(model: M, path: string): M => ({
    ...model,
    modelPath: path,
    tokenizerPath: path,
  });
  return {
    ...config,
    worker: {
      ...config.worker,
      actor: { ...actor, model: at(actor.model, checkpoint) },
      critic: hasOwn || !existsSync(value) ? critic : { ...critic, model: at(critic.model, value) },
    },
  };
}
