import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** The environment without what an outer `npm test` tells its scripts about itself. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')),
);

const consumer = `
import {
  Config, configFrom, CxmindError, differentiate, encode, GenerationEngine, GraphBuilder, loadCheckpoint,
  Policy, packSequences, policyLoss, resolveReward, Runtime, SampleBuilder, saveCheckpoint, tensorOf,
} from 'cxmind';
import type { RewardInput, RewardParts, Tensor } from 'cxmind';
import { actorFactory, ActorSystem, askAny, call, protocol, tensor, trainPolicy } from 'cxmind/actors';
import type { Actor, ActorRef, Reporter, RunSummary } from 'cxmind/actors';

const numbers: Tensor<'f32'> = tensorOf('f32', [2], [1, 2]);
const { config } = await configFrom(['trainer.seed=3'], { purpose: null });
const seed: number = config.trainer.seed;
// @ts-expect-error: a config has no such field
config.trainer.sead;
export const score = (input: RewardInput): RewardParts => ({ overall: input.responseLength });

const engine = [differentiate, encode, GenerationEngine, loadCheckpoint, Policy, packSequences, policyLoss,
  resolveReward, Runtime, SampleBuilder, saveCheckpoint, trainPolicy];
const doubler = protocol('doubler', { double: call(tensor('f32', ['n']), tensor('f32', ['n'])) });
class Doubler implements Actor<typeof doubler> {
  double({ shape, data }: Tensor<'f32'>): Tensor<'f32'> {
    return tensorOf('f32', shape, data.map((x) => 2 * x));
  }
}
export const doublerActor = actorFactory(doubler, () => new Doubler());
if (import.meta.main) {
  console.log(numbers.data[1], seed, Config.is(config), CxmindError.name, GraphBuilder.name,
    engine.every((each) => typeof each === 'function'));
  await using system = new ActorSystem();
  const ref: ActorRef<typeof doubler> = await system.spawn({
    name: 'doubler/0', protocol: doubler, module: new URL(import.meta.url), create: 'doublerActor', props: null,
  });
  // @ts-expect-error: the protocol has no such call
  ref.ask.triple;
  console.log([...(await askAny([ref], 'double', numbers, { timeoutMs: 30_000, retries: 1 })).data]);
}
export type Shown = [Reporter, RunSummary];
`;

function run(cwd: string, command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: environment,
  });
  assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}\n${stderr}`);
  return stdout;
}

describe('the packed tarball', function () {
  this.timeout(300_000);
  let folder: string;
  const cxmind = (...args: readonly string[]): string =>
    run(folder, join(folder, 'node_modules/.bin/cxmind'), ...args);
  const hadBuild = existsSync(join(root, 'dist'));

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'cxmind-pack-'));
    run(root, 'npm', 'pack', '--pack-destination', folder);
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'));
    const manifest = { name: 'consumer', private: true, type: 'module' };
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    copyFileSync(join(root, '.npmrc'), join(folder, '.npmrc'));
    // What npm finds it does not unpack again (600 MB), and what cxmind does not depend on it takes away. Where there
    // can be no hard links it gets everything itself.
    spawnSync('cp', ['-al', join(root, 'node_modules'), folder]);
    run(folder, 'npm', 'install', '--prefer-offline', '--no-package-lock', `./${tarball}`);
  });
  after(() => {
    rmSync(folder, { recursive: true });
    if (!hadBuild) rmSync(join(root, 'dist'), { recursive: true, force: true });
  });

  it('installs a cxmind command that trains, on worker threads of the build', () => {
    const help = cxmind('--help');
    assert.match(help, /^ {2}init /m);
    cxmind('init', '--train-rows', '4', '--val-rows', '1');
    const items = [
      'config=configs/tiny.yaml',
      'data.train_files=demo/closed-train.jsonl',
      'data.val_files=demo/closed-validation.jsonl',
      'worker.actor.model.model_path=demo/model',
      'data.image_dir=demo',
      'worker.reward.reward_function=./score.mjs:score',
      'trainer.max_steps=1',
    ];
    const score = 'export const score = (inputs) => inputs.map((_, i) => ({ overall: i % 2 }));\n';
    writeFileSync(join(folder, 'score.mjs'), score);
    cxmind('train', ...items);
    assert.ok(existsSync(join(folder, 'runs/tiny/summary.json')));
    // What Python reward files are run by is no TypeScript, so the build has to bring it along by itself.
    assert.ok(existsSync(join(folder, 'node_modules/cxmind/dist/actors/reward/host.py')));
  });

  it('gives engine and actors as imports with types', () => {
    writeFileSync(join(folder, 'consumer.ts'), consumer);
    const typeRoots = join(root, 'node_modules/@types');
    const flags =
      `--noEmit --strict --target esnext --lib esnext --module nodenext ` +
      `--types node --typeRoots ${typeRoots} consumer.ts`;
    run(folder, join(root, 'node_modules/.bin/tsc'), ...flags.split(' '));
    assert.equal(
      run(folder, process.execPath, 'consumer.ts'),
      '2 3 true CxmindError GraphBuilder true\n[ 2, 4 ]\n',
    );
  });
});
