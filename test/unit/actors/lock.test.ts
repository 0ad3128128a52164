import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { RunLock } from '../../../actors/run-folder/lock.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const module = new URL('../../../actors/run-folder/lock.ts', import.meta.url).href;

describe('the lock of a run’s folder', () => {
  let temporary: TemporaryDirectory;
  let folder: string;
  let file: string;
  beforeEach(() => {
    temporary = new TemporaryDirectory();
    folder = join(temporary.path, 'runs/one');
    file = join(folder, 'run.lock');
  });
  afterEach(() => temporary[Symbol.dispose]());

  const take = async (): Promise<void> => (await RunLock.take(folder))[Symbol.asyncDispose]();
  const taken = (message: RegExp): object => ({ code: 'CONFIG_INVALID', message });
  /** The lock that this process would write, with some of its fields changed. */
  const leave = async (changes: object): Promise<void> => {
    await using _ = await RunLock.take(folder);
    const own = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...own, ...changes, id: 'of-another' }));
  };

  it('lets nobody else in until it is let go, and leaves nothing', async () => {
    {
      await using _ = await RunLock.take(folder);
      const holder = new RegExp(
        `^${folder}: another run writes this folder, process ${process.pid} on ${hostname()}, since ` +
          '20.*; wait for its end, or name another folder by trainer\\.save_checkpoint_path$',
      );
      await assert.rejects(RunLock.take(folder), taken(holder));
    }
    assert.deepEqual(readdirSync(folder), []);
    await take();
  });

  it('lets one in of many that come at once', async () => {
    const settled = await Promise.allSettled(Array.from({ length: 8 }, () => RunLock.take(folder)));
    const locks = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    assert.equal(locks.length, 1);
    await locks[0]![Symbol.asyncDispose]();
    assert.deepEqual(readdirSync(folder), []);
  });

  it('goes from a process that was killed to whoever comes next, and stays with one that lives', async () => {
    const program = `
      import { RunLock } from ${JSON.stringify(module)};
      const lock = await RunLock.take(${JSON.stringify(folder)});
      process.stdout.write('taken');
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program]);
    await once(child.stdout, 'data');
    await assert.rejects(take(), taken(new RegExp(`process ${child.pid} on `)));
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.ok(existsSync(file));
    await take();
  });

  it('is stale when its number belongs to another process by now, or the host was booted since', async () => {
    await leave({ startTicks: '1' });
    await take();
    await leave({ boot: 'an-earlier-one' });
    await take();
    await leave({ pid: 2 ** 30 });
    await take();
  });

  it('is never taken from another host, and says what to do when that is gone', async () => {
    await leave({ host: 'other-host', pid: 7 });
    utimesSync(file, new Date(0), new Date(0));
    await assert.rejects(
      take(),
      taken(
        /process 7 on other-host, .* last sign of life is \d{10} s old: if it is gone, remove .*\/runs\/one\/run\.lock$/,
      ),
    );
  });

  it('is taken from a container of the same name once that gives no sign of life', async () => {
    await leave({ pidNamespace: 'pid:[1]' });
    await assert.rejects(take(), taken(/last sign of life is 0 s old: if it is gone, remove /));
    utimesSync(file, new Date(0), new Date(0));
    await take();
  });

  it('is no business of a file that no run wrote', async () => {
    await leave({});
    for (const text of ['', 'mine', '[]', '{"pid": 1}']) {
      writeFileSync(file, text);
      await assert.rejects(
        take(),
        taken(/run\.lock: expected what a run writes there of itself; if /),
      );
    }
  });

  it('opens a door that was left by a process killed in between', async () => {
    await take();
    const door = join(folder, '.run.lock.door');
    writeFileSync(door, '');
    utimesSync(door, new Date(0), new Date(0));
    await take();
    assert.deepEqual(readdirSync(folder), []);
  });

  it('guards what is in a folder when that is to be set aside', async () => {
    {
      await using _ = await RunLock.take(folder);
      writeFileSync(join(folder, 'metrics.jsonl'), '');
      await assert.rejects(RunLock.setAside(folder), taken(/another run writes this folder/));
      assert.ok(existsSync(join(folder, 'metrics.jsonl')));
    }
    assert.equal(await RunLock.setAside(folder), join(folder, 'before-1'));
    assert.deepEqual(readdirSync(join(folder, 'before-1')), ['metrics.jsonl']);
    assert.equal(await RunLock.setAside(folder), null);
    assert.deepEqual(readdirSync(folder), ['before-1']);
  });

  it('says where the folder cannot be written', async () => {
    temporary.write('runs', '');
    await assert.rejects(take(), {
      code: 'IO_FAILED',
      message: `cannot write ${folder}: not a directory`,
    });
  });
});
