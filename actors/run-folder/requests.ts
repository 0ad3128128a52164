/**
 * Requests to a run, such as to stop or to save, as files in its folder.
 *
 * ```
 * requests/ID.json     a RunRequest: whoever asks writes it, and from then on the run alone
 * requests/open        there while a run takes requests; a warm start, or the folder above a curriculum's, takes none
 * ```
 *
 * The run takes them when a step is over. Files reach a run on any host that shares the folder, and wait for one that is
 * busy. A request to a run that has ended is refused where it is made; one that a run left behind is never obeyed by the
 * next.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { jsonIn } from '../../src/check/json.ts';
import type { Holder, RunControl } from '../../src/dashboard/run-control.ts';
import { RunRequest, type RequestKind } from '../../src/dashboard/run-files.ts';
import { CxmindError } from '../../src/errors.ts';
import { writeFileAtomically } from '../../src/files.ts';
import { holderOf } from './lock.ts';

const FOLDER = 'requests';
const OPEN = 'open';
/** Requests that are kept once they are answered. */
const KEPT = 20;

/** The requests to a run, as the run takes them. */
export class RequestBox implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Opens the requests of a run that has taken its folder's lock and does nothing else yet, as requests come from then
   * on. Requests that the run before left open are failed.
   */
  static async open(folder: string): Promise<RequestBox> {
    const box = new RequestBox(folder);
    await box.#close('the run ended before it came to this');
    await writeFileAtomically(join(folder, FOLDER, OPEN), '');
    return box;
  }

  /** Takes no more requests, and fails those that are still open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await rm(join(this.#folder, FOLDER, OPEN), { force: true });
    await this.#close('the run has ended');
  }

  /** Requests that wait, the oldest first. */
  async waiting(): Promise<RunRequest[]> {
    return (await requestsIn(this.#folder)).filter(({ state }) => state === 'waiting').reverse();
  }

  /** Writes the new state of a request, with a text for people. */
  async answer(request: RunRequest, state: RunRequest['state'], text: string): Promise<void> {
    await write(this.#folder, { ...request, state, text, updated: Date.now() });
  }

  /** Fails the requests that are still open, and removes all but the newest. */
  async #close(reason: string): Promise<void> {
    const requests = await requestsIn(this.#folder);
    for (const request of requests) {
      const isOpen = request.state === 'waiting' || request.state === 'taken';
      if (isOpen) await this.answer(request, 'failed', reason);
    }
    for (const { id } of requests.slice(KEPT)) {
      await rm(fileOf(this.#folder, id), { force: true });
    }
  }
}

/** Asks the run that writes a folder for something. @throws CONFIG_INVALID where none does */
async function requestOf(folder: string, kind: RequestKind): Promise<RunRequest> {
  const holder = await listenerOf(folder);
  if (holder !== 'listens') {
    throw new CxmindError('CONFIG_INVALID', `${resolve(folder)}: ${refusals[holder]}`, {
      detail: { folder },
    });
  }
  const asked = Date.now();
  const id = `${asked.toString(36)}-${randomBytes(4).toString('hex')}`;
  const text = 'waits for the end of the step';
  const request: RunRequest = { id, kind, state: 'waiting', asked, updated: asked, text };
  await write(folder, request);
  return request;
}

const refusals = {
  none: 'no run writes this folder, so none takes the request; the command of the run starts it again',
  gone: 'the process of the run is gone, so it takes no request; the command of the run goes on from its last checkpoint',
  silent: 'the run has given no sign of life for a minute, so it takes no request',
  runs: 'what goes on here takes no request: a warm start ends by Ctrl-C, and a curriculum is asked by the folder of its stage',
} as const;

/** The holder of a folder, and whether it takes requests; one that was killed left the sign of that, and takes none. */
async function listenerOf(folder: string): Promise<Holder> {
  const holder = await holderOf(folder);
  return holder === 'runs' && existsSync(join(folder, FOLDER, OPEN)) ? 'listens' : holder;
}

/** Runs as the dashboard and the commands reach them. */
export const runControl: RunControl = {
  holder: listenerOf,
  requests: requestsIn,
  request: requestOf,
};

/** The newest first. */
async function requestsIn(folder: string): Promise<RunRequest[]> {
  const names = await readdir(join(folder, FOLDER)).catch((): string[] => []);
  const found = await Promise.all(
    names
      .filter((name) => name.endsWith('.json'))
      .map((name) => jsonIn(RunRequest, join(folder, FOLDER, name))),
  );
  const requests = found.filter((request) => request !== undefined);
  return requests.sort((a, b) => b.asked - a.asked || (a.id < b.id ? 1 : -1));
}

function write(folder: string, request: RunRequest): Promise<void> {
  return writeFileAtomically(fileOf(folder, request.id), `${JSON.stringify(request)}\n`);
}

function fileOf(folder: string, id: string): string {
  return join(folder, FOLDER, `${id}.json`);
}
