import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import type { Config } from '../../src/config/schema.ts';
import { CxmindError } from '../../src/errors.ts';
import { writeFileAtomically } from '../../src/files.ts';
import type { AdvanceRule } from '../../src/training/advance.ts';
import { ActorSystem } from '../runtime/system.ts';
import { joinNodes, trainOn, type RunOptions } from './run.ts';
import { RunSummary } from './run-files.ts';
import { RunLock } from './run-lock.ts';
import { setAside } from './set-aside.ts';
import { Timeline } from './timeline.ts';

/** One stage of a curriculum: a run of its own, in a folder of its own. */
export interface CurriculumStage {
  readonly name: string;
  /** Of the whole run that the stage is; its `model_path` only counts where it differs from the first stage's. */
  readonly config: Config;
  /** Ends the stage before its steps are taken. */
  readonly advance: AdvanceRule | null;
  /** Earlier stages that go on, by name, each with its share of every step's prompts. */
  readonly mix: Readonly<Record<string, number>>;
}

/** A stage that has ended, as `curriculum.json` keeps it: accuracies of its own validation set. */
const StageSummary = t.intersection([t.type({ name: t.string }), RunSummary]);
type StageSummary = t.TypeOf<typeof StageSummary>;

/** What a curriculum leaves in `summary.json`; what is right in one stage's validation says nothing of another's. */
export interface CurriculumSummary extends Pick<
  RunSummary,
  'steps' | 'seconds' | 'checkpoint' | 'preempted'
> {
  readonly stages: readonly StageSummary[];
}

/**
 * Trains stage after stage. Each is a new run, with an optimizer, a schedule and a reference of its own, that starts
 * from the weights the one before ended with, as CX-Mind's second stage does.
 *
 * Stages that have ended are not run again, and one that was interrupted or preempted goes on from its newest checkpoint.
 *
 * @param folder of the whole run, which holds the stages' folders, `curriculum.json` and `summary.json`
 * @throws CHECKPOINT_INVALID when the folder belongs to other stages; and whatever ends a run
 */
export async function trainCurriculum(
  stages: readonly CurriculumStage[],
  folder: string,
  options: RunOptions,
): Promise<CurriculumSummary> {
  const { reporter } = options;
  await using _ = await RunLock.take(folder);
  await using system = new ActorSystem(options);
  const hosts = await joinNodes(system, options);
  const file = join(folder, 'curriculum.json');
  const resumes = stages[0]!.config.trainer.findLastCheckpoint;
  if (!resumes) await keepEarlier(folder, reporter);
  const ended = await endedStages(file, stages);
  if (ended.length === stages.length) {
    reporter.note(`${folder}: this run is done, all ${stages.length} stages of it`);
  }
  const timeline = new Timeline();
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
    await writeFileAtomically(file, `${JSON.stringify(ended, null, 2)}\n`);
  }
  const begun = preempted === null ? ended : [...ended, preempted];
  const summary: CurriculumSummary = {
    steps: begun.reduce((sum, { steps }) => sum + steps, 0),
    seconds: begun.reduce((sum, { seconds }) => sum + seconds, 0),
    checkpoint: begun.at(-1)!.checkpoint,
    ...(preempted !== null && { preempted: true }),
    stages: begun,
  };
  await writeFileAtomically(join(folder, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
  return summary;
}

/** Sets aside what stages of an earlier run left, so that no stage goes on from it. */
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

/** The content of a JSON file; null where it is none. */
async function jsonIn(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch {
    return null;
  }
}

async function endedStages(
  file: string,
  stages: readonly CurriculumStage[],
): Promise<StageSummary[]> {
  if (!existsSync(file)) return [];
  const decoded = t.array(StageSummary).decode(await jsonIn(file));
  if (isLeft(decoded)) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${file}: expected the list of stages that have ended; without the file, each stage goes on from its own checkpoints`,
    );
  }
  const ended = decoded.right;
  const other = ended.findIndex(({ name }, index) => stages[index]?.name !== name);
  if (other < 0) return ended;
  throw new CxmindError(
    'CHECKPOINT_INVALID',
    `${file}: stage ${other + 1} was ${ended[other]!.name}, and the config's is ` +
      `${stages[other]?.name ?? 'missing'}; trainer.save_checkpoint_path names another folder, ` +
      'trainer.find_last_checkpoint=false starts afresh',
  );
}
