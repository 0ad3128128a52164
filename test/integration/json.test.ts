import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { commands } from '../../src/cli/commands.ts';
import { ReportingCommand } from '../../src/cli/command.ts';
import { ownStandardOutput } from '../../src/cli/terminal.ts';
import { runJson, type JsonLine } from '../support/cxmind-process.ts';
import { goldenPath } from '../support/golden.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { tinyItems, writeTinyDemo } from '../support/tiny-run.ts';

/** The lines of a command that does its work, and its result, which is the last one. */
async function told(...argv: string[]): Promise<{ lines: JsonLine[]; result: JsonLine }> {
  const lines: JsonLine[] = [];
  assert.equal(await runJson(argv, lines), 0, JSON.stringify(lines.at(-1)));
  const result = lines.at(-1)!;
  assert.deepEqual([result.event, result['command']], ['result', argv[0]]);
  return { lines, result };
}

const named = (lines: readonly JsonLine[], event: string): JsonLine[] =>
  lines.filter((line) => line.event === event);

describe('--json', () => {
  let folder: TemporaryDirectory;
  let demo: string;
  const model = goldenPath('micro-vl');

  before(async () => {
    folder = new TemporaryDirectory();
    demo = join(folder.path, 'demo-1');
    await writeTinyDemo(demo);
  });
  after(() => folder[Symbol.dispose]());

  for (const [name, command] of Object.entries(commands)) {
    if (!(command.prototype instanceof ReportingCommand)) continue;
    it(`tells what is wrong with a command line, with its code: ${name}`, async () => {
      const lines: JsonLine[] = [];
      assert.equal(await runJson([name, '--no-such-flag'], lines), 2);
      const [{ event, code, exit_code: exitCode } = assert.fail()] = lines;
      assert.deepEqual([event, code, exitCode], ['error', 'CONFIG_INVALID', 2]);
      assert.equal(lines.length, 1);
    });
  }

  it('tells what a training is, step by step, and what came of it: quickstart', async () => {
    const items = tinyItems(demo, join(folder.path, 'run'), [
      ...[
        'trainer.max_steps=1',
        'sft.max_steps=1',
        'sft.batch_size=2',
        'trainer.val_before_train=false',
      ],
      ...[
        'data.max_response_length=64',
        'worker.actor.micro_batch_size_per_device_for_experience=2',
        'worker.actor.micro_batch_size_per_device_for_update=2',
        'data.rollout_batch_size=2',
        'worker.rollout.n=2',
        'worker.actor.global_batch_size=2',
      ],
    ]).filter((item) => !/^(config|worker\.actor\.model\.model_path)=/.test(item));
    const { lines, result } = await told('quickstart', '--folder', folder.path, ...items);
    const [sft] = named(lines, 'sft_step');
    assert.equal(sft!['step'], 1);
    assert.ok(Number(sft!['loss']) > 0);
    const [step] = named(lines, 'step');
    assert.deepEqual([step!['step'], step!['steps']], [1, 1]);
    for (const key of ['reward', 'grad_norm', 'seconds', 'seconds_left', 'tokens_per_second']) {
      assert.equal(typeof step![key], 'number', key);
    }
    assert.equal(result['steps'], 1);
    assert.match(String(result['checkpoint']), /global_step_1\/actor\/huggingface$/);

    // Without its summary the run is one that was stopped.
    const run = join(folder.path, 'run');
    rmSync(join(run, 'summary.json'));
    const further = [...items, 'trainer.max_steps=2'];
    const on = await told('quickstart', '--folder', folder.path, ...further);
    assert.deepEqual(named(on.lines, 'sft_step'), []);
    assert.deepEqual(
      named(on.lines, 'step').map(({ step: number }) => number),
      [2],
    );
    const anew = await told('quickstart', '--folder', folder.path, ...items);
    assert.equal(anew.result['steps'], 1);
    assert.ok(existsSync(join(run, 'before-1', 'global_step_2')));
  });

  it('tells the facts of commands that end soon: init, config, generate, score, merge', async () => {
    const written = join(folder.path, 'written');
    const init = await told('init', written, '--train-rows', '1', '--val-rows', '1');
    assert.equal(init.result['closed_train'], join(written, 'closed-train.jsonl'));

    const { result } = await told('config', 'trainer.seed=9');
    const { trainer } = result['config'] as { trainer: { seed: number } };
    assert.equal(trainer.seed, 9);

    const given = ['--model', model, '--threads', '1'];
    const answered = await told('generate', ...given, '--n', '2', '--max-tokens', '3', 'A word?');
    const responses = named(answered.lines, 'response');
    assert.deepEqual(
      responses.map(({ sample }) => sample),
      [0, 1],
    );
    for (const { token_ids: ids } of responses) assert.ok((ids as number[]).length > 0);

    const out = join(folder.path, 'scores.jsonl');
    const data = ['--data', join(demo, 'closed-validation.jsonl'), '--image-dir', demo];
    const scored = await told('score', '--model', join(demo, 'model'), ...data, '--out', out);
    assert.deepEqual([scored.result['answers'], scored.result['out']], [4, out]);

    const merged = join(folder.path, 'merged');
    const plain = await told('merge', '--local_dir', join(demo, 'model'), '--out', merged);
    assert.equal(plain.result['folder'], merged);
  });

  it('has standard output for itself', () => {
    const written: string[] = [];
    const stream = (name: string): NodeJS.WriteStream => {
      const write = (text: string): boolean => written.push(`${name} ${text}`) > 0;
      return { write } as unknown as NodeJS.WriteStream;
    };
    const streams = { stdout: stream('out'), stderr: stream('error') };
    const write = ownStandardOutput(streams);
    streams.stdout.write('of a library\n');
    write('{}\n', () => undefined);
    assert.deepEqual(written, ['error of a library\n', 'out {}\n']);
  });
});
