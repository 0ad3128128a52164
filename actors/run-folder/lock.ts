import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { CxmindError, messageOf } from '../../src/errors.ts';
import { readWhole, writeFileAtomically, writing } from '../../src/files.ts';
import { ownIdentity, ProcessIdentity, stateOf } from './process-identity.ts';

/** What `run.lock` says of the run that writes a folder. */
const Holder = t.intersection([ProcessIdentity, t.type({ id: t.string, since: t.string })]);
type Holder = t.TypeOf<typeof Holder>;

const FILE = 'run.lock';
/** Exists for the moment in which `run.lock` is read and written; whoever makes it may do so. */
const DOOR = '.run.lock.door';
/** After which a door was left open by a process that was killed in that moment. */
const DOOR_MS = 5_000;
const BEAT_MS = 10_000;
/** After which a holder that cannot be looked for, and that should have given a sign of life, is gone. */
const SILENCE_MS = 60_000;

/**
 * The ownership of a run's folder, held until disposed of: two runs in one folder would go on from, prune and overwrite
 * each other's checkpoints.
 *
 * A holder that was killed is recognised by its process, which is gone. Where that cannot be seen, in another container
 * of the same name, the holder's signs of life decide: the time of `run.lock`, by the clock of its file system. A
 * holder on another host is never declared gone: a person has to say so.
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
   * Takes the folder, made where there is none.
   *
   * @throws CONFIG_INVALID naming the holder of a folder that is taken; IO_FAILED where it cannot be written
   */
  static async take(folder: string): Promise<RunLock> {
    const file = join(folder, FILE);
    await writing(folder, () => mkdir(folder, { recursive: true }));
    await using _ = await enter(join(folder, DOOR));
    await refuseHolder(folder, file);
    const holder: Holder = {
      ...ownIdentity(),
      id: randomUUID(),
      since: new Date().toISOString(),
    };
    await writeFileAtomically(file, `${JSON.stringify(holder, null, 2)}\n`);
    return new RunLock(file, holder.id);
  }

  /** Empties a folder that no run writes. @throws as `take` */
  static async empty(folder: string): Promise<void> {
    await using _ = await RunLock.take(folder);
    const names = (await readdir(folder)).filter((name) => name !== FILE);
    await Promise.all(names.map((name) => rm(join(folder, name), { recursive: true })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#beat);
    const holder = await holderIn(this.#file).catch(() => null);
    if (holder?.id !== this.#id) return;
    // Where it cannot be removed it is known for stale once this process is gone.
    await rm(this.#file, { force: true }).catch(() => undefined);
  }
}

async function refuseHolder(folder: string, file: string): Promise<void> {
  const holder = await holderIn(file);
  if (holder === null) return;
  const state = stateOf(holder);
  if (state === 'gone') return;
  const silentMs = await silenceOf(file, join(folder, DOOR));
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

/** Who holds a folder; null where nobody does. @throws CONFIG_INVALID for a file that no run wrote */
async function holderIn(file: string): Promise<Holder | null> {
  // Its folder is behind the door: nobody makes or removes it meanwhile.
  if (!existsSync(file)) return null;
  const text = await readWhole(file).then(String, (error: unknown) => {
    throw foreign(file, error);
  });
  const decoded = Holder.decode(parsed(text));
  if (!isLeft(decoded)) return decoded.right;
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

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Milliseconds from a holder's last sign of life to now, both by the clock of the file system. */
async function silenceOf(file: string, door: string): Promise<number> {
  const [last, now] = await Promise.all([stat(file), stat(door)]);
  return Math.max(0, now.mtimeMs - last.mtimeMs);
}

async function touch(file: string): Promise<void> {
  const now = new Date();
  // A folder that is gone, or full, is told of by those who write into it.
  await utimes(file, now, now).catch(() => undefined);
}

/** Waits until nobody else is in this moment, however many begin at once; disposing of it lets the next one in. */
async function enter(door: string): Promise<AsyncDisposable> {
  for (;;) {
    try {
      await (await open(door, 'wx')).close();
      return { [Symbol.asyncDispose]: () => rm(door, { force: true }) };
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
        return await writing(door, () => Promise.reject(cause as Error));
      }
    }
    const made = await stat(door).catch(() => null);
    if (made !== null && Math.abs(Date.now() - made.mtimeMs) > DOOR_MS)
      await rm(door, { force: true });
    await delay(20);
  }
}
