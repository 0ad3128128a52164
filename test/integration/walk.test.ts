/**
 * Commands of the README and the guides, run one after the other as a reader would, over a tiny demo.
 *
 * Each command is the page's own, with items behind it that make the run small. Servers, other hosts and cards are
 * other tests' matter.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runHere } from '../support/cxmind-process.ts';
import { blockOf, codeBlocks, commandsIn, pages, pageText, projectRoot } from '../support/pages.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { metricsOf, writeTinyDemo } from '../support/tiny-run.ts';

/** Items of a run of one step. */
const small = [
  'data.max_response_length=24',
  'data.rollout_batch_size=2',
  'data.num_workers=0',
  'worker.actor.global_batch_size=2',
  'worker.actor.micro_batch_size_per_device_for_update=4',
  'worker.actor.micro_batch_size_per_device_for_experience=4',
  'worker.rollout.n=2',
  'trainer.max_steps=1',
  'trainer.val_before_train=false',
  'trainer.threads=1',
  'trainer.local_mode=true',
  'sft.max_steps=1',
  'sft.batch_size=2',
  'sft.micro_batch_size=2',
];

/** Words that are put behind those of a command. */
const behind: Readonly<Record<string, readonly string[]>> = {
  sft: small,
  train: small,
  eval: [...small, '--max-tokens', '8'],
  generate: ['--max-tokens', '8', '--threads', '1'],
  score: ['--threads', '1'],
};

/** Other tests that run shell blocks, by the page, or by page and section. */
const elsewhere: Readonly<Record<string, string>> = {
  'examples/chest-x-rays.md': 'chest-x-rays.test.ts',
  'examples/from-easyr1.md': 'from-easyr1.test.ts',
  'examples/from-trl.md': 'from-trl.test.ts',
  'examples/library.md': 'pack.test.ts',
  'examples/own-environment.md, An example that learns': 'look-closer.test.ts',
  'examples/own-pipeline.md, A whole run as a part': 'from-trl.test.ts',
  'examples/own-pipeline.md, Actors one by one': 'pipeline.test.ts',
  'examples/evaluation.md, Serving': 'serve.test.ts',
};

/** Commands of cxmind in the shell blocks of a section. */
function commandsOf(page: string, section: string): string[][] {
  return codeBlocks(pageText(page))
    .filter((block) => block.language === 'sh' && block.section === section)
    .flatMap(({ text }) => commandsIn(text))
    .filter(([npx, program]) => npx === 'npx' && program === 'cxmind')
    .map(([, , ...words]) => words);
}

describe('the commands of the pages', () => {
  let temporary: TemporaryDirectory;
  const home = process.cwd();

  before(async () => {
    temporary = new TemporaryDirectory();
    process.chdir(temporary.path);
    symlinkSync(join(projectRoot, 'examples'), 'examples');
    mkdirSync('runs');
    await writeTinyDemo('runs/demo');
    cpSync('runs/demo/closed-train.jsonl', 'mine/train.jsonl');
    cpSync('runs/demo/closed-validation.jsonl', 'mine/test.jsonl');
    cpSync('runs/demo/images', 'mine/images', { recursive: true });
    writeFileSync('brief.ts', blockOf('examples/own-reward.md', 'ts', 'A function'));
    const dice = blockOf('examples/own-environment.md', 'ts', 'In TypeScript or JavaScript');
    writeFileSync('dice.ts', dice);
  });
  after(() => {
    process.chdir(home);
    temporary[Symbol.dispose]();
  });

  const followed = new Set<string>();

  /** Runs the commands of a section but those that are named. @returns what they printed */
  async function follow(
    page: string,
    section: string,
    but: readonly string[] = [],
  ): Promise<string> {
    let said = '';
    followed.add(`${page}, ${section}`);
    const commands = commandsOf(page, section).filter(([name]) => !but.includes(name!));
    assert.ok(commands.length > 0, `${page} has no command under ${section}`);
    for (const words of commands) {
      const told = await runHere([...words, ...(behind[words[0]!] ?? [])]);
      assert.equal(told.exitCode, 0, `${words.join(' ')}\n${told.text}`);
      said += told.stdout;
    }
    return said;
  }

  it('teach the demo by hand: README.md', async () => {
    // The demo is there, of a smaller size.
    const said = await follow('README.md', 'The same by hand', ['init']);
    assert.match(said, /^checkpoint .*runs\/quickstart\/sft\/huggingface$/m);
    assert.match(said, /^4 closed questions, 4 answers$/m);
    assert.match(said, /^4 responses in answers.jsonl$/m);
  });

  it('train on one’s own data, rewards and environments, and evaluate that', async () => {
    await follow('README.md', 'Then your own');
    assert.ok(existsSync('runs/own/eval/report.html'));
    await follow('examples/own-data.md', 'Your own data');
    assert.ok(existsSync('runs/try/summary.json') && existsSync('runs/mine/summary.json'));
    await follow('examples/own-reward.md', 'A function');
    assert.ok(existsSync('runs/brief/summary.json'));
  });

  it('measure, merge and look at what was trained', async () => {
    const page = 'examples/evaluation.md';
    assert.match(await follow(page, 'Evaluation'), /^ {2}pass@8 /m);
    await follow(page, 'Scores of given answers');
    assert.ok(existsSync('scores.jsonl') && existsSync('grads.safetensors'));
    const section = 'Adapters, and what else of a model may stay as it is';
    await follow('examples/checkpoints.md', section);
    assert.ok(existsSync('merged/model.safetensors'));
    cpSync('runs/own', 'runs/quickstart/seed-1', { recursive: true });
    const steering = ['dashboard', 'save', 'validate', 'stop'];
    const said = await follow('examples/dashboard.md', 'Watching and steering a run', steering);
    assert.match(said, /seed-1: done, step 1 of 1$/m);
  });

  it('train in several turns, with an environment of one’s own', async () => {
    await follow('examples/own-environment.md', 'Your own environment, and tools');
    assert.ok(metricsOf('runs/dice')[0]!['num_turns/mean']! >= 1);
  });

  it('explain and resolve a config, and train by it', async () => {
    const said = await follow('configs/README.md', 'Configuration');
    assert.match(said, /^worker\.actor\.clip_ratio_low/m);
    assert.ok(existsSync('runs/eight/summary.json'));
  });

  it('are run by a test, or say what they need', () => {
    for (const [page, text] of pages()) {
      if (!/^(README|configs\/README|examples\/[^/]+)\.md$/.test(page)) continue;
      for (const { language, section, needs } of codeBlocks(text)) {
        const place = `${page}, ${section}`;
        if (language !== 'sh' || needs !== null || followed.has(place)) continue;
        const test = elsewhere[place] ?? elsewhere[page];
        assert.ok(test !== undefined, `no test runs the commands of ${place}`);
        assert.ok(existsSync(join(import.meta.dirname, test)), `no test ${test}`);
      }
    }
  });
});
