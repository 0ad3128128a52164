/** Files through which processes of a job find each other. They hold keys, so only their user may read them. */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { parsedJson } from '../../src/check/json.ts';
import { CxmindError, refusalText } from '../../src/errors.ts';
import { RunTicket } from '../zmq/keys.ts';

/** Interval of looking. Nothing tells of a new file on a file system of several hosts. */
const lookMs = 200;

/** Invitation that rank 0 leaves for the others of its job. */
export const Invitation = t.strict({
  ticket: RunTicket,
  /** Names and addresses of rank 0's host. Others may be able to reach it by any of them. */
  addresses: t.array(t.string),
});
export interface Invitation extends t.TypeOf<typeof Invitation> {}

/** Rendezvous of the processes of a job: a file in a folder that all hosts see. Only their user can read it. */
export class Rendezvous {
  readonly folder: string;
  readonly #name: string;

  /** @param job name that tells this job from others in the same folder */
  constructor(folder: string, job: string) {
    this.folder = folder;
    this.#name = `.cxmind-${job}.ticket`;
  }

  get #path(): string {
    return join(this.folder, this.#name);
  }

  /**
   * Leaves the invitation, and replaces one that is there.
   *
   * @throws CONFIG_INVALID when the folder cannot be written to
   */
  async invite(invitation: Invitation): Promise<void> {
    const partial = `${this.#path}.${randomUUID()}`;
    try {
      await mkdir(this.folder, { recursive: true });
      await using file = await open(partial, 'wx', 0o600);
      await file.writeFile(JSON.stringify(Invitation.encode(invitation)));
      await file.sync();
      await rename(partial, this.#path);
    } catch (cause) {
      await rm(partial, { force: true }).catch(() => undefined);
      const message =
        `rendezvous: cannot write to ${this.folder}: ${refusalText(cause)}; ` +
        'name another folder with --rendezvous';
      throw new CxmindError('CONFIG_INVALID', message, { cause });
    }
  }

  /** Removes the invitation. */
  async close(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  /**
   * Waits for the invitation; undefined when `deadline` passes first.
   *
   * @param deadline on the clock of `performance.now`
   * @throws CONFIG_INVALID for a file that others could have written or read
   */
  async find(deadline: number): Promise<Invitation | undefined> {
    for (;;) {
      // Listing the folder makes a file system of several hosts look again.
      const names = await readdir(this.folder).catch((): string[] => []);
      if (names.includes(this.#name)) {
        const found = await this.#read();
        if (found !== undefined) return found;
      }
      if (performance.now() >= deadline) return undefined;
      await delay(lookMs);
    }
  }

  /** Reads the invitation; undefined if it is gone again, or has the form of another version. */
  async #read(): Promise<Invitation | undefined> {
    let text: string;
    try {
      text = await readPrivate(this.#path, 0o077);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    const invitation = Invitation.decode(parsedJson(text));
    return E.isRight(invitation) ? invitation.right : undefined;
  }
}

/**
 * Reads the text of a file that holds a secret.
 *
 * @param forbidden bits of the file's mode that must not be set
 * @throws CONFIG_INVALID when one of them is set, or when the file belongs to another user than root or this one; the
 *   error of the operating system when it cannot be opened
 */
export async function readPrivate(path: string, forbidden: number): Promise<string> {
  // A pipe in its place must not keep us waiting for a writer.
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const found = await file.stat();
  const { mode, uid } = found;
  if (!found.isFile()) throw new CxmindError('CONFIG_INVALID', `${path}: no file of keys`);
  if ((mode & forbidden) !== 0) {
    const shown = (mode & 0o777).toString(8);
    throw new CxmindError(
      'CONFIG_INVALID',
      `${path}: holds keys, and its mode ${shown} is too open`,
    );
  }
  if (uid !== 0 && uid !== process.getuid?.()) {
    throw new CxmindError('CONFIG_INVALID', `${path}: holds keys, and belongs to user ${uid}`);
  }
  return await file.readFile('utf8');
}
