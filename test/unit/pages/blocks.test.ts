/**
 * Code of every page: each block is tried by its language.
 *
 * A shell block calls commands, flags, keys and values that there are. YAML is a config that decodes. JSON is a row that
 * decodes. TypeScript is compiled by `test/integration/pack.test.ts`, Python here. Keys and commands in the text are
 * tried too.
 *
 * That is cheap, and holds for all blocks. Most are run besides: by `guides.test.ts` beside this file, by
 * `test/integration/walk.test.ts`, and by tests that are named after their guides.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Parser } from '@oclif/core';
import { commands } from '../../../src/cli/commands.ts';
import { configFrom } from '../../../src/config/load.ts';
import { explainKey } from '../../../src/config/reference.ts';
import { Config, defaults } from '../../../src/config/schema.ts';
import { DEFAULT_KEYS } from '../../../src/data/row.ts';
import { decodeRow } from '../../../src/data/decode-row.ts';
import { codeBlocks, commandsIn, pages, projectRoot, type CodeBlock } from '../../support/pages.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const { scripts } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
  scripts: Readonly<Record<string, string>>;
};

/** Asserts that the items of a command line are a config that could run, files aside. */
async function assertDecodes(items: readonly string[]): Promise<void> {
  const { issues } = await configFrom(items, { purpose: null, packageRoot: projectRoot });
  if (items.some((item) => item.startsWith('config='))) assert.deepEqual(issues, []);
}

/** Asserts that cxmind takes these words: the command, its flags, its config keys and their values. */
async function assertTaken([name = '', ...words]: readonly string[]): Promise<void> {
  if (name === '' || name.startsWith('--')) return;
  assert.ok(Object.hasOwn(commands, name), `no command ${name}`);
  if (words.includes('--help')) return;
  const end = words.includes('--') ? words.indexOf('--') : words.length;
  const { args, flags, baseFlags, strict } = commands[name as keyof typeof commands];
  const known = { args, flags: { ...baseFlags, ...flags }, strict };
  const parsed = await Parser.parse(words.slice(0, end), known);
  const { explain } = parsed.flags as { explain?: string };
  if (explain !== undefined) explainKey(explain);
  const file = name === 'quickstart' ? ['config=configs/quickstart.yaml'] : [];
  if (Object.hasOwn(args, 'items')) await assertDecodes([...file, ...(parsed.argv as string[])]);
  await assertTaken(words.slice(end + 1));
}

/** Programs of the system that pages may call. */
const known = ['source', 'cat', 'cp', 'cd', 'mkdir', 'git', 'curl', 'python3'];

/** Programs that start the one behind `npx`. */
const starters = ['srun', 'mpirun'];

/** Asserts that a shell finds the programs that the words call. */
async function assertRuns(words: readonly string[]): Promise<void> {
  const unset = words.filter((word) => !/^[A-Z_]+=/.test(word));
  const called = starters.includes(unset[0]!) ? unset.slice(unset.indexOf('npx')) : unset;
  const [program = '', ...args] = called[0] === 'npx' ? called.slice(1) : called;
  if (program === 'cxmind') return assertTaken(args);
  if (known.includes(program)) return;
  if (program === 'node') {
    const file = args.find((word) => !word.startsWith('-'))!;
    const places = ['', 'examples'].map((folder) => join(projectRoot, folder, file));
    assert.ok(places.some(existsSync), `no file ${file}`);
    return;
  }
  assert.equal(program, 'npm');
  const [verb = '', ...rest] = args;
  if (['ci', 'pack', 'pkg', 'install', 'install-scripts'].includes(verb)) return;
  const script = verb === 'run' ? rest.shift()! : verb;
  assert.ok(Object.hasOwn(scripts, script), `no script ${script}`);
  if (script === 'start') await assertTaken(['quickstart', ...rest.slice(1)]);
}

/** Asserts that a mapping is a config without contradictions, once `n` is one that groups can be compared with. */
async function assertConfig(text: string): Promise<void> {
  using temporary = new TemporaryDirectory();
  const items = [`config=${temporary.write('page.yaml', text)}`, 'worker.rollout.n=4'];
  const { issues } = await configFrom(items, { purpose: null, packageRoot: projectRoot });
  assert.deepEqual(issues, []);
}

/** Asserts that a JSON object is a row of a data set, with a picture for each marker. */
function assertRow(text: string): void {
  const raw = { file: 'page.json', name: '1', line: 1, value: JSON.parse(text) as unknown };
  const { prompt, images } = decodeRow(raw, DEFAULT_KEYS);
  assert.equal(prompt.split('<image>').length - 1, images?.length ?? 0);
}

/** Assertions about a block, by its language. */
const trials: Readonly<Record<string, (text: string) => Promise<void> | void>> = {
  sh: async (text) => {
    for (const words of commandsIn(text)) await assertRuns(words);
  },
  yaml: assertConfig,
  json: assertRow,
  // Its name, under which users keep it, and by which the packed tarball compiles it.
  ts: (text) => assert.match(text, /^\/\/ [\w-]+\.ts\n/),
  python: (text) => {
    const program = 'import sys; compile(sys.stdin.read(), "page.py", "exec")';
    const { error, status, stderr } = spawnSync('python3', ['-c', program], { input: text });
    if (error === undefined) assert.equal(status, 0, String(stderr));
  },
};

/** Languages of drawings and outputs. */
const drawings = ['', 'text', 'mermaid'];

/** Texts between backticks outside fenced blocks, each once. */
function spansOf(text: string): string[] {
  const shown = text.replace(/^```[^]*?^```$/gm, '').matchAll(/`([^`]+)`/g);
  return [...new Set([...shown].map(([, span]) => span!.replace(/\n\s*/g, ' ')))];
}

const sections = Object.keys(Config.encode(defaults()));
const isItem = new RegExp(`^(${sections.join('|')})\\.[\\w.]+(=|$)`);
const isCall = /^npx |^npm |^[A-Z_]+=\S* npm /;

/** Asserts that an item, or a key, is one of the config's. */
async function assertItem(span: string): Promise<void> {
  const stages = span.startsWith('curriculum') ? ['config=configs/cxmind.yaml'] : [];
  if (span.includes('=')) await assertDecodes([...stages, span]);
  else explainKey(span);
}

for (const [page, text] of pages()) {
  // What is generated has every key, each as the schema says it.
  const written = text.replace(/<!-- generated by npm run docs: keys[^]*/, '');
  const blocks = codeBlocks(text).filter(({ language }) => !drawings.includes(language));
  const spans = spansOf(written).filter((span) => isItem.test(span) || isCall.test(span));
  const marks = text.match(/<!-- (not run|needs)\b/g) ?? [];
  if (blocks.length + spans.length + marks.length === 0) continue;

  describe(`the code of ${page}`, () => {
    blocks.forEach((block, i) => {
      it(`is taken, block ${i + 1}, under ${block.section}`, async () => {
        assert.ok(Object.hasOwn(trials, block.language), `no trial of ${block.language}`);
        if (block.notRun === null) await trials[block.language]!(block.text);
      });
    });

    it('says why, where it is not run', () => {
      const reasons = blocks.flatMap(({ notRun, needs }: CodeBlock) => notRun ?? needs ?? []);
      assert.equal(reasons.length, marks.length, 'a mark stands on the line above its block');
      for (const reason of reasons) assert.match(reason, /^\S+( \S+)+$/);
    });

    it('is taken, in the text', async () => {
      for (const span of spans) {
        if (isItem.test(span)) await assertItem(span);
        else await assertRuns(commandsIn(span)[0]!);
      }
    });
  });
}
