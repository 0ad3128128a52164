import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codeBlocks, pages, projectRoot as root } from '../support/pages.ts';
import { writeTinyDemo } from '../support/tiny-run.ts';

const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'));

/** The environment without what an outer `npm test` tells its scripts about itself. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')),
);

/** Program that the types refuse, beside the examples that they take. */
const refused = `
import { configFrom } from 'cxmind';
import type { ActorRef, Reporter, RunSummary } from 'cxmind/actors';
import type { machine } from './bandit.ts';

const { config } = await configFrom(['trainer.seed=3'], { purpose: null });
const seed: number = config.trainer.seed;
// @ts-expect-error: a config has no such field
config.trainer.sead;
// @ts-expect-error: the protocol has no such call
export const push = (ref: ActorRef<typeof machine>) => ref.ask.push;
export type Shown = [Reporter, RunSummary, typeof seed];
`;

function run(cwd: string, command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: environment,
    timeout: 240_000,
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

  it('installs a cxmind command that trains, on worker threads of the build', async () => {
    const help = cxmind('--help');
    assert.match(help, /^ {2}init /m);
    await writeTinyDemo(join(folder, 'runs/demo'));
    const items = [
      'config=configs/tiny.yaml',
      'data.train_files=runs/demo/closed-train.jsonl',
      'data.val_files=runs/demo/closed-validation.jsonl',
      'worker.actor.model.model_path=runs/demo/model',
      'data.image_dir=runs/demo',
      'worker.reward.reward_function=./score.mjs:score',
      'trainer.max_steps=1',
    ];
    const score = 'export const score = (inputs) => inputs.map((_, i) => ({ overall: i % 2 }));\n';
    writeFileSync(join(folder, 'score.mjs'), score);
    cxmind('train', ...items);
    assert.ok(existsSync(join(folder, 'runs/tiny/summary.json')));
    // What Python reward files are run by is no TypeScript, so the build has to bring it along by itself.
    assert.ok(existsSync(join(folder, 'node_modules/cxmind/dist/actors/user-code/host.py')));
  });

  it('gives engine and actors as imports with types, by which pages and examples compile', () => {
    const shown = [...pages().values()].flatMap(codeBlocks);
    const programs = shown.filter(({ language, notRun }) => language === 'ts' && notRun === null);
    const named = programs.map(({ text }) => ({ name: /^\/\/ (\S+)/.exec(text)![1]!, text }));
    for (const { name, text } of named) writeFileSync(join(folder, name), text);
    assert.ok(named.some(({ name }) => name === 'library.ts'));
    const sources = [...named.map(({ name }) => name), 'refused.ts', ...examples];
    assert.equal(
      new Set(sources).size,
      sources.length,
      'programs of pages have names of their own',
    );
    writeFileSync(join(folder, 'refused.ts'), refused);
    for (const name of examples) copyFileSync(join(root, 'examples', name), join(folder, name));
    const typeRoots = join(root, 'node_modules/@types');
    const flags =
      `--noEmit --strict --noUncheckedIndexedAccess --exactOptionalPropertyTypes --verbatimModuleSyntax ` +
      `--target esnext --lib esnext --module nodenext --types node --typeRoots ${typeRoots}`;
    run(folder, join(root, 'node_modules/.bin/tsc'), ...flags.split(' '), ...sources);
  });

  it('runs the program of examples/library.md, which samples and scores alike', () => {
    const said = run(folder, process.execPath, 'library.ts');
    const pairs = [...said.matchAll(/ (-[\d.e-]+) (-[\d.e-]+)$/gm)];
    assert.equal(pairs.length, 2, said);
    for (const [, sampled, scored] of pairs) {
      // the demo's random weights give each of some 500 tokens about as much, and two of them are never sampled
      const banned = Number(sampled) - Number(scored);
      assert.ok(banned > 0 && banned < 0.02, said);
    }
  });

  it('runs an actor of one’s own on a thread of its own, and ends with it: examples/bandit.ts', () => {
    const policy = JSON.parse(run(folder, process.execPath, 'bandit.ts')) as number[];
    assert.ok(policy[1]! > 0.9, `arm 1 has probability ${policy[1]!}`);
    assert.ok(Math.abs(policy.reduce((sum, p) => sum + p) - 1) < 1e-9);
  });
});
