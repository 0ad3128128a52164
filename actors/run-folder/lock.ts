/** The lock of a run's folder, `run.lock`: its taking, its release, and who holds it. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as t from 'io-ts';
import { parsedJson } from '../../src/check/json.ts';
import type { Holder as HolderState } from '../../src/dashboard/run-control.ts';
import { CxmindError, messageOf } from '../../src/errors.ts';
import { readWhole, writeJson, writing } from '../../src/files.ts';
import { isAside, setAside } from './files.ts';
import { ownIdentity, ProcessIdentity, stateOf } from './process-identity.ts';

/** Content of `run.lock`: the run that writes the folder. */
const Holder = t.intersection([ProcessIdentity, t.type({ id: t.string, since: t.string })]);
type Holder = t.TypeOf<typeof Holder>;

const FILE = 'run.lock';
/** Guard of `run.lock`: exists while a process reads and writes it. */
const GUARD = '.run.lock.door';
/** Age of a guard that a killed process left behind. */
const GUARD_MS = 5_000;
const BEAT_MS = 10_000;
/** Silence after which a holder whose process cannot be looked up is gone. */
const SILENCE_MS = 60_000;

/**
 * Ownership of a run's folder, held until disposed of. Two runs in one folder would resume, prune and overwrite each
 * other's checkpoints.
 *
 * A killed holder is recognised by its process, which is gone. In another container of the same name the process cannot
 * be looked up; there the time of `run.lock`, a sign of life, decides. A holder on another host is never taken for
 * gone: a person has to remove the file.
 */
export class RunLock implements AsyncDisposable {
  readonly #file: string;
  readonly #id: string;
  readonly #beat: NodeJS.Timeout;

  private constructor(file: string, id: string) {
    this.#file = file;
    this.#id = id;
    this.#beat = setInterval(() => void touch(file), BEAT_MS).unref();
  }

  /**
   * Takes the folder and makes it where there is none.
   *
   * @throws CONFIG_INVALID naming the holder of a folder that is taken; IO_FAILED where it cannot be written
   */
  static async take(folder: string): Promise<RunLock> {
    const file = join(folder, FILE);
    await writing(folder, () => mkdir(folder, { recursive: true }));
    await using _ = await enter(join(folder, GUARD));
    await refuseHolder(folder, file);
    const holder: Holder = {
      ...ownIdentity(),
      id: randomUUID(),
      since: new Date().toISOString(),
    };
    await writeJson(file, holder);
    return new RunLock(file, holder.id);
  }

  /**
   * Sets aside all that is in a folder that no run writes, but for what was set aside before.
   *
   * @returns the folder inside where it is kept; null where there was nothing
   * @throws as `take`
   */
  static async setAside(folder: string): Promise<string | null> {
    await using _ = await RunLock.take(folder);
    const names = await readdir(folder);
    return await setAside(
      folder,
      names.filter((name) => name !== FILE && !isAside(name)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#beat);
    const holder = await holderIn(this.#file).catch(() => null);
    if (holder?.id !== this.#id) return;
    // A file that cannot be removed is known to be stale once this process is gone.
    await rm(this.#file, { force: true }).catch(() => undefined);
  }
}

/** Tells whether a run writes a folder, without taking it. A file that no run wrote counts as none. */
export async function holderOf(folder: string): Promise<Exclude<HolderState, 'listens'>> {
  const file = join(folder, FILE);
  const holder = await holderIn(file).catch(() => null);
  if (holder === null) return 'none';
  const state = stateOf(holder);
  if (state !== 'unseen') return state;
  const beat = await stat(file).catch(() => null);
  return beat === null || Date.now() - beat.mtimeMs > SILENCE_MS ? 'silent' : 'runs';
}

async function refuseHolder(folder: string, file: string): Promise<void> {
  const holder = await holderIn(file);
  if (holder === null) return;
  const state = stateOf(holder);
  if (state === 'gone') return;
  const silentMs = await silenceOf(file, join(folder, GUARD));
  const isElsewhere = holder.host !== ownIdentity().host;
  if (state === 'unseen' && !isElsewhere && silentMs > SILENCE_MS) return;
  const seen = `its last sign of life is ${Math.round(silentMs / 1000)} s old`;
  throw new CxmindError(
    'CONFIG_INVALID',
    `${resolve(folder)}: another run writes this folder, process ${holder.pid} on ${holder.host}, since ` +
      `${holder.since}; wait for its end, or name another folder by trainer.save_checkpoint_path` +
      (state === 'unseen' ? `; ${seen}: if it is gone, remove ${resolve(file)}` : ''),
    { detail: { folder, pid: holder.pid, host: holder.host } },
  );
}

/** Reads the holder of a folder; null where there is none. @throws CONFIG_INVALID for a file that no run wrote */
async function holderIn(file: string): Promise<Holder | null> {
  // The caller holds the guard, so no process makes or removes the file meanwhile.
  if (!existsSync(file)) return null;
  const text = await readWhole(file).then(String, (error: unknown) => {
    throw foreign(file, error);
  });
  const holder = parsedJson(text);
  if (Holder.is(holder)) return holder;
  throw foreign(file);
}

function foreign(file: string, cause?: unknown): CxmindError {
  const reason = cause === undefined ? '' : ` (${messageOf(cause)})`;
  return new CxmindError(
    'CONFIG_INVALID',
    `${resolve(file)}: expected what a run writes there of itself${reason}; if no run writes the folder, remove the file`,
    { cause },
  );
}

/** Milliseconds since a holder's last sign of life, by the clock of the file system. */
async function silenceOf(file: string, guard: string): Promise<number> {
  const [last, now] = await Promise.all([stat(file), stat(guard)]);
  return Math.max(0, now.mtimeMs - last.mtimeMs);
}

async function touch(file: string): Promise<void> {
  const now = new Date();
  // Whoever writes into the folder reports that it is gone or full.
  await utimes(file, now, now).catch(() => undefined);
}

/** Waits for the guard and takes it, however many processes try at once; disposing of it releases it. */
async function enter(guard: string): Promise<AsyncDisposable> {
  for (;;) {
    try {
      await (await open(guard, 'wx')).close();
      return { [Symbol.asyncDispose]: () => rm(guard, { force: true }) };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
        return await writing(guard, () => Promise.reject(cause as Error));
      }
    }
    const made = await stat(guard).catch(() => null);
    if (made !== null && Math.abs(Date.now() - made.mtimeMs) > GUARD_MS)
      await rm(guard, { force: true });
    await delay(20);
  }
}
