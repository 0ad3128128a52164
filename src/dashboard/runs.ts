/**
 * The runs below some folders, which are searched again at every request.
 *
 * A folder with the status or the metrics of a run is a run. So stages of a curriculum are runs of their own, as is the
 * warm start before a run. Folders are searched to a fixed depth, without folders of checkpoints and of data.
 */
import { hash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { exists } from '../files.ts';
import { refusal } from '../serving/refusal.ts';
import { Turns } from '../turns.ts';
import type { RunListing } from './api.ts';
import type { RunControl } from './run-control.ts';
import { RunView } from './run-view.ts';

const DEPTH = 4;
const passed = /^(global_step_\d+|before-\d+|node_modules|rollouts|validations|requests|\..*)$/;
const signs: readonly string[] = ['status.json', 'metrics.jsonl'];
const LOG = 'cxmind.log';

export class Runs {
  readonly #roots: readonly string[];
  readonly #control: RunControl;
  readonly #views = new Map<string, RunView>();
  readonly #turns = new Turns();

  /** @param roots folders of runs, or folders with such folders in them */
  constructor(roots: readonly string[], control: RunControl) {
    this.#roots = roots.map((root) => resolve(root));
    this.#control = control;
  }

  /** Finds the present runs. Runs that were found before keep their readers. */
  find(): Promise<readonly RunView[]> {
    return this.#turns.run(() => this.#find());
  }

  async #find(): Promise<readonly RunView[]> {
    const found = (await Promise.all(this.#roots.map((root) => foldersIn(root, DEPTH)))).flat();
    const folders = [...new Set(found)].sort();
    const above = commonFolder(folders);
    for (const folder of this.#views.keys()) {
      if (!folders.includes(folder)) this.#views.delete(folder);
    }
    for (const folder of folders) {
      if (this.#views.has(folder)) continue;
      const name = relative(above, folder);
      const place = { id: idOf(folder), name: name === '' ? basename(folder) : name, folder };
      this.#views.set(folder, new RunView(place, await logFolderOf(folder), this.#control));
    }
    return folders.map((folder) => this.#views.get(folder)!);
  }

  /**
   * The run with an id. From then on its changes are told.
   *
   * @throws DATA_INVALID, a refusal with status 404, where there is none
   */
  async of(id: string): Promise<RunView> {
    const isWanted = ({ place }: RunView): boolean => place.id === id;
    const view = [...this.#views.values()].find(isWanted) ?? (await this.find()).find(isWanted);
    if (view === undefined) throw refusal(404, `no run ${id.slice(0, 50)}`);
    view.isOpened = true;
    return view;
  }
}

/**
 * Listings of runs as they are now.
 *
 * The runs are read one after the other, since there may be more of them than a process may open files.
 */
export async function listingsOf(views: readonly RunView[]): Promise<RunListing[]> {
  const listings: RunListing[] = [];
  for (const view of views) listings.push(await view.freshListing());
  return listings;
}

/** Folders of runs in a folder, itself included. */
async function foldersIn(folder: string, depth: number): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const names = new Set(entries.map(({ name }) => name));
  const isRun = signs.some((name) => names.has(name));
  if (depth === 0) return isRun ? [folder] : [];
  const inside = await Promise.all(
    entries
      .filter((entry) => entry.isDirectory() && !passed.test(entry.name))
      .map(({ name }) => foldersIn(join(folder, name), depth - 1)),
  );
  return [...(isRun ? [folder] : []), ...inside.flat()];
}

/** The folder that all folders lie in; that of a single one is its parent. */
function commonFolder(folders: readonly string[]): string {
  const [first = ''] = folders;
  let above = dirname(first);
  while (!folders.every((folder) => folder.startsWith(join(above, '/')))) above = dirname(above);
  return above;
}

/** A run's own log, or that of the curriculum that it is a stage of. */
async function logFolderOf(folder: string): Promise<string> {
  const isThere = (at: string): Promise<boolean> => exists(join(at, LOG));
  return !(await isThere(folder)) && (await isThere(dirname(folder))) ? dirname(folder) : folder;
}

/** An id that follows from the folder alone. */
function idOf(folder: string): string {
  const digest = hash('sha256', folder).slice(0, 8);
  const name = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 32);
  return name === '' ? digest : `${name}-${digest}`;
}
