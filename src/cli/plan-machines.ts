/** The plans of a config on machines: the config as each of them would run it, counted and estimated. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { placeRun, type Station } from '../../actors/trainer/placement.ts';
import { planRun, type RunPlan } from '../../actors/trainer/plan.ts';
import { withDevice } from '../../actors/trainer/this-machine.ts';
import { configInvalid } from '../check/issues.ts';
import { nearestOf } from '../check/nearest.ts';
import { readSource, rewardFileOf, sourceList } from '../config/names.ts';
import type { Config } from '../config/schema.ts';
import { CxmindError } from '../errors.ts';
import { configDirectory, withModels } from '../hub/model.ts';
import { parameterCount } from '../model/weights/arena-layout.ts';
import { advise, type Tried } from '../plan/advice.ts';
import { readCalibration } from '../plan/calibration.ts';
import { countStep, type CountedStep, type RunModels, type StepData } from '../plan/count.ts';
import { dataPrompts, repeated, type DataPrompts } from '../plan/data.ts';
import { estimated } from '../plan/estimate.ts';
import { readMachines, thisMachine, type Machine } from '../plan/machines.ts';
import { madePrompts } from '../plan/prompts.ts';
import type { MachinePlan, RefusedMachine } from '../plan/report.ts';
import type { PlannedPlaces } from '../plan/settings.ts';
import { sizedModel } from '../plan/sizes.ts';
import { load } from './config-items.ts';
import { packageRoot } from './package-root.ts';

/** Flags of `plan`, besides the items of the config. */
export interface PlanFlags {
  readonly machine?: readonly string[] | undefined;
  readonly machines?: string | undefined;
  readonly 'prompt-tokens'?: number | undefined;
  readonly 'response-tokens'?: number | undefined;
  readonly pictures?: number | undefined;
  readonly picture?: readonly [number, number] | undefined;
  readonly prompts?: number | undefined;
}

/** Bytes of a run's process beside its models on a machine without calibration: six threads, and their modules. */
const BASE_BYTES = 450 * 2 ** 20;
/** Size of a picture that nobody gave. */
const USUAL_PICTURE = [512, 512] as const;

interface Plans {
  /** A line on the model and a step of it. */
  readonly head: string;
  readonly plans: readonly MachinePlan[];
  /** Machines of the table that the config cannot run on. */
  readonly refused: readonly RefusedMachine[];
}

/**
 * Plans a config on the machines that were asked for, or on all of the table.
 *
 * @throws DEVICE_MISSING, CONFIG_INVALID where a machine that was asked for cannot run the config, or none of the table
 *   can
 */
export async function plansOf(items: readonly string[], flags: PlanFlags): Promise<Plans> {
  await refuseWithoutModel(items);
  const planner = new Planner(items, flags);
  const plans: MachinePlan[] = [];
  const refusals: { readonly machine: string; readonly error: CxmindError }[] = [];
  for (const machine of await machinesOf(flags)) {
    try {
      plans.push(await planOn(planner, machine));
    } catch (error) {
      if (flags.machine !== undefined || !isRefusal(error)) throw error;
      refusals.push({ machine: machine.name, error });
    }
  }
  if (plans.length === 0) throw refusals[0]!.error;
  const refused = refusals.map(({ machine, error }) => ({
    machine,
    hasCard: error.code !== 'DEVICE_MISSING',
    reason: error.message,
  }));
  return { head: planner.head, plans, refused };
}

/** @throws CONFIG_INVALID for a config without a model, which is wrong on every machine */
async function refuseWithoutModel(items: readonly string[]): Promise<void> {
  const { config } = await load(items, null);
  if (config.worker.actor.model.modelPath !== null) return;
  throw configInvalid([{ path: 'worker.actor.model.model_path', expected: 'needed and not set' }]);
}

async function planOn(planner: Planner, machine: Machine): Promise<MachinePlan> {
  const first = await planner.tryOn(machine, []);
  const { estimate, steps } = first;
  const advice = estimate.fits ? [] : await advise(first, (more) => planner.tryOn(machine, more));
  return { estimate, steps, advice };
}

/** True for an error that says that a machine cannot run a config. */
function isRefusal(error: unknown): error is CxmindError {
  return (
    error instanceof CxmindError &&
    (error.code === 'DEVICE_MISSING' || error.code === 'CONFIG_INVALID')
  );
}

async function machinesOf({ machine: wanted, machines: file }: PlanFlags): Promise<Machine[]> {
  const shipped = await readMachines(join(packageRoot(), 'configs/machines.yaml'));
  const own = file === undefined ? [] : await readMachines(file);
  const byName = new Map(
    [thisMachine(await readCalibration()), ...shipped, ...own].map((one) => [one.name, one]),
  );
  if (wanted === undefined) return [...byName.values()];
  return wanted.map((name) => {
    const found = byName.get(name);
    if (found !== undefined) return found;
    const nearest = nearestOf(name, [...byName.keys()]);
    const way =
      nearest === undefined
        ? `there are ${[...byName.keys()].join(', ')}`
        : `did you mean ${nearest}?`;
    throw new CxmindError('CONFIG_INVALID', `--machine: no machine ${name}; ${way}`);
  });
}

/** A run on a machine, and the steps it has. */
interface TriedRun extends Tried {
  readonly steps: number | null;
}

/** The planner of one config. What does not depend on the machine is counted once. */
export class Planner {
  readonly #items: readonly string[];
  readonly #flags: PlanFlags;
  readonly #counted = new Map<string, Promise<CountedStep>>();
  readonly #data = new Map<string, Promise<DataPrompts | null>>();
  /** A line on the model and a step of it. */
  head = '';

  constructor(items: readonly string[], flags: PlanFlags) {
    this.#items = items;
    this.#flags = flags;
  }

  /** Plans the config with further items on a machine. @throws CONFIG_INVALID for a config that would not train */
  async tryOn(machine: Machine, more: readonly string[]): Promise<TriedRun> {
    const config = await this.#configOn(machine, more);
    const run = planRun(config);
    const policy = await sizedModel(run.policy.model, 'policy');
    const critic = run.critic && (await sizedModel(run.critic.model, 'value'));
    const { step, rows } = await this.#stepData(config, policy);
    const places = placesOf(run);
    const kind = run.policy.model.devices[0] === 'cpu' ? 'cpu' : 'cuda';
    const key = [kind, JSON.stringify(places), ...more].join(' ');
    const counted = this.#counted.get(key) ?? countStep(run, { policy, critic }, step, places);
    this.#counted.set(key, counted);
    if (more.length === 0) this.head = headOf(policy, await counted, config);
    const estimate = await estimated(await counted, machine, run.policy.model, {
      memoryShare: run.rollout.engine.memoryShare,
      baseBytes: machine.measured?.baseBytes ?? BASE_BYTES,
    });
    const prompts = this.#flags.prompts ?? rows;
    const steps = config.trainer.maxSteps ?? (prompts === null ? null : run.stepsOver(prompts));
    return { run, estimate, steps, cards: machine.cards?.count ?? 0 };
  }

  /** The run on this machine's processor, with the policy's sizes and a step. */
  async onThisMachine(): Promise<{
    readonly policy: RunModels['policy'];
    readonly step: StepData;
    readonly run: RunPlan;
  }> {
    const config = await this.#configOn(thisMachine(null), ['trainer.device=cpu']);
    const run = planRun(config);
    const policy = await sizedModel(run.policy.model, 'policy');
    const { step } = await this.#stepData(config, policy);
    return { policy, step, run };
  }

  async #configOn(machine: Machine, more: readonly string[]): Promise<Config> {
    const { config, issues } = await load([...this.#items, ...more], null);
    if (issues.length > 0) throw configInvalid(issues);
    const { cards, name } = machine;
    const placed = withDevice(config, () => undefined, {
      tryDevice: (device) => {
        if (cards !== null) return;
        throw new CxmindError('DEVICE_MISSING', `device ${device}: ${name} has no card`);
      },
      countCards: () => cards?.count ?? 0,
    });
    // Of a model on the hub only its `config.json` and other small files are fetched.
    return withModels(placed, async (model) => ({
      ...model,
      modelPath: model.modelPath && (await configDirectory(model.modelPath)),
    }));
  }

  /** The prompts of a step, and the rows of the training set where it is here. */
  async #stepData(
    config: Config,
    policy: RunModels['policy'],
  ): Promise<{ readonly step: StepData; readonly rows: number | null }> {
    const { rolloutBatchSize, maxPromptLength, maxResponseLength } = config.data;
    const flags = this.#flags;
    const responseTokens = flags['response-tokens'] ?? maxResponseLength;
    const own = await this.#ownPrompts(config, policy);
    if (own !== null && flags['prompt-tokens'] === undefined) {
      const prompts = repeated(own.prompts, rolloutBatchSize);
      return { step: { prompts, responseTokens }, rows: own.rows };
    }
    const lengths = {
      promptTokens: flags['prompt-tokens'] ?? maxPromptLength,
      pictures: flags.pictures ?? (policy.config.vision === null ? 0 : 1),
      picture: flags.picture ?? USUAL_PICTURE,
    };
    const prompts = madePrompts(policy.config, lengths, rolloutBatchSize);
    return { step: { prompts, responseTokens }, rows: own?.rows ?? null };
  }

  /** Prompts of the training set; null where it, or the tokenizer, is not on this machine. */
  async #ownPrompts(
    config: Config,
    { config: model }: RunModels['policy'],
  ): Promise<DataPrompts | null> {
    const sources = sourceList(config.data.trainFiles);
    const { data } = planRun(config).task;
    const isHere =
      sources.length > 0 &&
      sources.every((source) => readSource(source).kind === 'path') &&
      existsSync(join(data.tokenizerPath, 'tokenizer.json'));
    if (!isHere) return null;
    const key = JSON.stringify([sources, data.tokenizerPath]);
    const known = this.#data.get(key) ?? dataPrompts(data, config.data.trainFiles, model);
    this.#data.set(key, known);
    return known;
  }
}

/**
 * The numbers of a run's actors with models, placed as the run places them on hosts that are alike.
 *
 * @throws CONFIG_INVALID where there are too few cards
 */
function placesOf({ placement, task }: RunPlan): PlannedPlaces {
  const hosts = Array.from({ length: placement.hosts }, (_, i) => ({
    node: i === 0 ? null : `host-${i}`,
    slots: 1,
  }));
  const { learners, rollouts, rewards } = placeRun(placement, hosts);
  const here = rewards.filter((place) => place === 'thread').length;
  return {
    ...{ learners: learners.length, rollouts: rollouts.length },
    ...{ learnersADevice: mostADevice(learners), rolloutsADevice: mostADevice(rollouts) },
    functions: here * task.rewards.filter(hasThread).length,
  };
}

/** True for a reward that is a user's function in JavaScript; one in Python has a process of its own. */
function hasThread({ source }: RunPlan['task']['rewards'][number]): boolean {
  if (source.kind !== 'function') return false;
  const file = rewardFileOf(source.props.rewardFunction)?.file;
  return file !== undefined && !file.endsWith('.py');
}

/** Stations at the device that has the most of them. */
function mostADevice(stations: readonly Station[]): number {
  const devices = Map.groupBy(stations, ({ place, device }) => JSON.stringify([place, device]));
  return Math.max(...[...devices.values()].map(({ length }) => length));
}

function headOf(
  { config, layout }: RunModels['policy'],
  { tokens }: CountedStep,
  { data, worker }: Config,
): string {
  const responses = data.rolloutBatchSize * worker.rollout.n;
  return (
    `${config.architecture}, ${parameterCount(layout).toLocaleString('en')} parameters; a step has ` +
    `${data.rolloutBatchSize} prompts with ${worker.rollout.n} responses each, ${Math.round(tokens / responses)} tokens a pair`
  );
}
