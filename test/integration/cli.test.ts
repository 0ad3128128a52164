import assert from 'node:assert/strict';
import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bin, runHere, until } from '../support/cxmind-process.ts';
import { writeTinyDemo } from '../support/tiny-run.ts';
import { directoryForEach } from '../support/temporary-directory.ts';

/** The Node that people have, where it is older than the pinned one. */
const systemNode = ['/usr/bin/node', '/usr/local/bin/node'].find(existsSync) ?? process.execPath;

/** Runs a command as people do, in a process that a Node of their own starts. */
function cxmind(args: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(systemNode, [bin, ...args], { encoding: 'utf8' });
}

describe('cxmind', () => {
  const folder = directoryForEach();
  it('runs on the pinned Node whatever Node starts it', () => {
    const { stdout, status } = cxmind(['--version']);
    assert.match(stdout, /^cxmind\/\d+\.\d+\.\d+ .* node-v24\./);
    assert.equal(status, 0);
  });

  it('passes the exit code of the relaunched process on', () => {
    const { stderr, status } = cxmind(['inti']);
    assert.equal(stderr, 'no command inti, did you mean init?\n');
    assert.equal(status, 2);
  });

  it('answers a wrong flag with exit code 2 and no stack', async () => {
    const { stderr, exitCode } = await runHere(['init', '--sead', '3']);
    assert.match(stderr, /--sead/);
    assert.doesNotMatch(stderr, /\n {4}at /);
    assert.equal(exitCode, 2);
  });

  describe('train', () => {
    it('shows everything wrong with its config at once and starts nothing', async () => {
      const run = join(folder.path, 'run');
      const { exitCode, stdout, stderr } = await runHere([
        'train',
        'config=configs/tiny.yaml',
        `trainer.save_checkpoint_path=${run}`,
        'data.train_files=none.jsonl',
        'trainer.save_freq=often',
        'worker.actor.clip_ratio_low=2',
        'worker.rollouts.n=4',
      ]);
      assert.equal(exitCode, 2);
      assert.equal(stdout, '');
      const lines = stderr.trimEnd().split('\n');
      assert.deepEqual(lines.slice(0, 3), [
        'worker.actor.clip_ratio_low: expected number in [0, 1], got 2 (argument worker.actor.clip_ratio_low=2)',
        'worker.rollouts: unknown key, nearest valid key: worker.rollout (argument worker.rollouts.n=4)',
        'trainer.save_freq: expected an integer, got "often" (argument trainer.save_freq=often)',
      ]);
      assert.ok(lines.some((line) => line.startsWith('data.train_files: no such file')));
      assert.equal(existsSync(run), false);
    });

    it('prints a config that can be run again', async () => {
      const items = ['config=configs/cx-open.yaml', 'trainer.seed=9'];
      const { exitCode, stdout } = await runHere(['train', ...items, '--print-config']);
      assert.equal(exitCode, 0);
      const printed = join(folder.path, 'printed.yaml');
      writeFileSync(printed, stdout);
      const again = await runHere(['train', `config=${printed}`, '--print-config']);
      assert.equal(again.stdout, stdout);
      assert.match(stdout, /"seed": 9/);
    });
  });

  describe('eval', () => {
    it('takes variables of the chat template', async () => {
      const kwargs = ['--chat-template-kwargs', '{"enable_thinking": false}'];
      const { stdout } = await runHere([
        'eval',
        'config=configs/tiny.yaml',
        ...kwargs,
        '--print-config',
      ]);
      assert.match(stdout, /"apply_chat_template_kwargs": \{\s+"enable_thinking": false\s+\}/);
    });

    it('asks the model of a run, scores and reports, and appends to the predictions', async () => {
      const demo = join(folder.path, 'demo');
      await writeTinyDemo(demo);
      const trained = join(folder.path, 'trained');
      const model = join(trained, 'global_step_1/actor/huggingface');
      cpSync(join(demo, 'model'), model, { recursive: true });
      writeFileSync(join(trained, 'config.json'), '{}');
      const asked = [
        'eval',
        'config=configs/tiny.yaml',
        `data.val_files=${demo}/closed-validation.jsonl`,
        `data.image_dir=${demo}`,
        `worker.actor.model.model_path=${trained}`,
        `trainer.save_checkpoint_path=${folder.path}/run`,
        'trainer.local_mode=true',
        ...[
          '--n',
          '2',
          '--k',
          '1,2,4',
          '--limit',
          '3',
          '--temperature',
          '0.5',
          '--max-tokens',
          '8',
          '--regex',
          '[A-D].{64}',
          '--best-of',
          '3',
        ],
      ];
      const { exitCode, stdout, stderr } = await runHere(asked);
      assert.equal(exitCode, 0, stderr);
      assert.match(stdout, /^3 closed questions, 6 answers$/m);
      assert.match(stdout, /^accuracy [01]\.\d{4} in \d+ s$/m);
      const read = (name: string): string =>
        readFileSync(join(folder.path, 'run/eval', name), 'utf8');
      const lines = read('predictions.jsonl').trimEnd().split('\n');
      const predictions = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
      assert.equal(predictions.length, 6);
      const rows = readFileSync(`${demo}/closed-validation.jsonl`, 'utf8').split('\n');
      const { predict, correct, scores, ...record } = predictions[3]!;
      assert.deepEqual(record, JSON.parse(rows[1]!));
      assert.match(predict as string, /^[A-D]/);
      assert.ok(correct === 0 || correct === 1);
      assert.equal((scores as { sample: number }).sample, 1);
      assert.equal((scores as { tokens: number }).tokens, 8);
      const summary = JSON.parse(read('summary.json')) as Record<string, unknown>;
      assert.deepEqual(summary['sampling'], {
        n: 2,
        temperature: 0.5,
        top_p: 1,
        top_k: -1,
        seed: 1,
        ignore_eos: false,
        min_p: 0,
        repetition_penalty: 1,
        presence_penalty: 0,
        frequency_penalty: 0,
        bad_words: [],
        structured_outputs: { regex: '[A-D].{64}', json: null },
        best_of: 3,
      });
      assert.deepEqual(Object.keys(summary['pass_at'] as object), ['1', '2']);
      const page = read('report.html');
      assert.equal(page.match(/<article/g)?.length, 3);
      assert.equal(page.match(/<img [^>]*src="data:image\/jpeg;base64,/g)?.length, 3);

      writeFileSync(join(folder.path, 'run/metrics.jsonl'), '{"step":1}\n');
      const over = await runHere([...asked, '--out', join(folder.path, 'run')]);
      assert.equal(over.exitCode, 2);
      assert.match(over.stderr, /^\S+run is the folder of a training run, .* --out \S+run\/eval$/m);
    });
  });

  describe('on Ctrl-C', () => {
    it('ends in order with exit code 130, child and all', async () => {
      const child = spawn(systemNode, [bin, 'init', join(folder.path, 'demo')], {
        stdio: 'ignore',
      });
      await until(() => readdirSync(folder.path).length > 0);
      child.kill('SIGINT');
      const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
      assert.ok(code === 130 || signal === 'SIGINT', `${code} ${signal}`);
      assert.equal(existsSync(join(folder.path, 'demo')), false);
    });
  });

  describe('init', () => {
    const rows = ['--train-rows', '7', '--val-rows', '3'];

    it('writes a checkpoint and both tasks, and never over something else', async () => {
      const demo = join(folder.path, 'demo');
      const written = await runHere(['init', demo, ...rows, '--closed-rejections', '2']);
      assert.equal(written.exitCode, 0);
      assert.ok(readdirSync(join(demo, 'model')).includes('model.safetensors'));
      const train = readFileSync(join(demo, 'closed-train.jsonl'), 'utf8').trim().split('\n');
      assert.equal(train.length, 7);
      assert.ok(train.every((line) => line.includes('Judge each')));
      const again = await runHere(['init', demo, ...rows]);
      assert.equal(again.exitCode, 2);
      assert.match(again.stderr, /not an empty directory/);
      assert.equal((await runHere(['init', demo, '--if-missing'])).exitCode, 0);
    });
  });
});
