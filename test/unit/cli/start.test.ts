import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { bin } from '../../support/cxmind-process.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

/** Tells whether a process has a handler of the signal: Node's own until ours takes its place. */
function catchesSigusr1(pid: number): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;
  return ((BigInt(`0x${caught}`) >> BigInt(constants.signals.SIGUSR1 - 1)) & 1n) === 1n;
}

function threadsOf(pid: number): string[] {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).map((id) => readFileSync(join(tasks, id, 'comm'), 'utf8').trim());
}

describe('the start of a command', () => {
  it('leaves no debugger open on SIGUSR1, however early, and outlives it', async function () {
    if (!existsSync('/proc/self/status')) this.skip();
    const child = spawn(process.execPath, [bin, 'node'], { stdio: 'pipe' });
    const ended = once(child, 'close');
    while (!catchesSigusr1(child.pid!)) await delay(1);
    child.kill('SIGUSR1');
    await delay(1000);
    child.kill('SIGUSR1');
    await delay(20);
    const threads = threadsOf(child.pid!);
    child.stdin.end();
    assert.deepEqual(await ended, [2, null]);
    assert.ok(!threads.includes('InspectorIo'), threads.join(' '));
  });
});

describe('compiled code', () => {
  const compiledOf = (home: string): string => join(home, '.cache/cxmind/compiled');

  function startWith(home: string): void {
    const env: NodeJS.ProcessEnv = { ...process.env, HOME: home, TMPDIR: home };
    delete env['NODE_COMPILE_CACHE'];
    delete env['XDG_CACHE_HOME'];
    assert.equal(spawnSync(process.execPath, [bin, '--version'], { env }).status, 0);
  }

  it('is kept in a folder of the user that nobody else may read or write', () => {
    using home = new TemporaryDirectory();
    startWith(home.path);
    assert.ok(readdirSync(compiledOf(home.path)).length > 0);
    assert.equal(statSync(compiledOf(home.path)).mode & 0o777, 0o700);
    assert.deepEqual(readdirSync(home.path), ['.cache']);
  });

  it('is kept nowhere when others could put something else in its place', () => {
    using open = new TemporaryDirectory();
    mkdirSync(join(open.path, '.cache'));
    chmodSync(join(open.path, '.cache'), 0o777);
    using loose = new TemporaryDirectory();
    mkdirSync(compiledOf(loose.path), { recursive: true });
    chmodSync(compiledOf(loose.path), 0o755);
    for (const home of [open.path, loose.path]) {
      startWith(home);
      const kept = existsSync(compiledOf(home)) ? readdirSync(compiledOf(home)) : [];
      assert.deepEqual(kept, []);
    }
  });
});
