import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const bin = join(root, 'bin/cxmind.js');

/** The Node that people have, where it is older than the pinned one. */
const systemNode = ['/usr/bin/node', '/usr/local/bin/node'].find(existsSync) ?? process.execPath;

function cxmind(args: readonly string[], node = process.execPath): SpawnSyncReturns<string> {
  return spawnSync(node, [bin, ...args], { encoding: 'utf8' });
}

describe('cxmind', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cxmind-cli-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('runs on the pinned Node whatever Node starts it', () => {
    const { stdout, status } = cxmind(['--version'], systemNode);
    assert.match(stdout, /^cxmind\/\d+\.\d+\.\d+ .* node-v24\./);
    assert.equal(status, 0);
  });

  it('lists its commands', () => {
    const { stdout, status } = cxmind(['--help'], systemNode);
    assert.match(stdout, /^ {2}init /m);
    assert.equal(status, 0);
  });

  it('passes the exit code of the relaunched process on', () => {
    const { stderr, status } = cxmind(['inti'], systemNode);
    assert.equal(stderr, 'no command inti, did you mean init?\n');
    assert.equal(status, 2);
  });

  it('answers a wrong flag with exit code 2 and no stack', () => {
    const { stderr, status } = cxmind(['init', '--sead', '3']);
    assert.match(stderr, /--sead/);
    assert.doesNotMatch(stderr, /\n {4}at /);
    assert.equal(status, 2);
  });

  describe('init', () => {
    const rows = ['--train-rows', '7', '--val-rows', '3'];

    it('writes a checkpoint and both tasks, and never over something else', () => {
      const demo = join(folder, 'demo');
      assert.equal(cxmind(['init', demo, ...rows]).status, 0);
      assert.ok(readdirSync(join(demo, 'model')).includes('model.safetensors'));
      const train = readFileSync(join(demo, 'closed-train.jsonl'), 'utf8').trim().split('\n');
      assert.equal(train.length, 7);
      const again = cxmind(['init', demo, ...rows]);
      assert.equal(again.status, 2);
      assert.match(again.stderr, /not an empty directory/);
      assert.equal(cxmind(['init', demo, '--if-missing']).status, 0);
    });
  });
});
