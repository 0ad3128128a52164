/**
 * State that all views share: the runs, which of them are shown, and the connection.
 *
 * Events of the server come in here and go out as changes. A view itself fetches the content that it shows of them.
 */
import type { Event as ServerEvent, RunListing } from '../api.ts';
import type { RunStatus } from '../run-files.ts';
import { listen, type Connection } from './client.ts';

/** A change of the shared state, or an event of the server about a run. */
export type Change =
  | { readonly type: 'runs' | 'selection' | 'connection' }
  | Exclude<ServerEvent, { type: 'runs' }>;

/** A run that is shown, with the place of its colour. */
export interface ShownRun {
  readonly id: string;
  readonly name: string;
  readonly place: number;
}

/** Most runs that are drawn over each other, since readers cannot tell more colours apart. */
export const MAX_SHOWN = 8;

export class Session {
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #statuses = new Map<string, RunStatus>();
  /** Ids of the shown runs by the place of their colour; null for a free place, which the next run takes. */
  readonly #places: (string | null)[] = [];
  #runs: readonly RunListing[] = [];
  #focus: string | null = null;
  #connection: Connection = 'connecting';

  get runs(): readonly RunListing[] {
    return this.#runs;
  }

  get connection(): Connection {
    return this.#connection;
  }

  /** The run that views of a single run show; null before there is one. */
  get focus(): RunListing | null {
    return this.#runs.find(({ id }) => id === this.#focus) ?? null;
  }

  /** The focus and the runs it is compared with, by the place of their colours. */
  get shown(): readonly ShownRun[] {
    return this.#places.flatMap((id, place) => {
      const run = this.#runs.find((each) => each.id === id);
      return run === undefined ? [] : [{ id: run.id, name: run.name, place }];
    });
  }

  /** Newest status of a run that an event brought. */
  statusOf(run: string): RunStatus | null {
    return this.#statuses.get(run) ?? null;
  }

  start(): void {
    listen(
      (event) => this.#take(event),
      (connection) => this.#connect(connection),
    );
  }

  listen(listener: (change: Change) => void): void {
    this.#listeners.add(listener);
  }

  /** Moves the focus to a run. The run before it stays shown where it was compared with others. */
  setFocus(run: string): void {
    if (run === this.#focus) return;
    const wasAlone = this.shown.length === 1;
    if (wasAlone && this.#focus !== null) this.#give(this.#focus);
    this.#place(run);
    this.#focus = run;
    this.#select();
  }

  /** Shows a run beside the focus if there is a colour left, or hides it. */
  setShown(run: string, isShown: boolean): void {
    if (isShown && this.shown.length < MAX_SHOWN) this.#place(run);
    else if (!isShown && run !== this.#focus) this.#give(run);
    this.#select();
  }

  /** Tells listeners of another choice of runs, and remembers it, the focus first. */
  #select(): void {
    const others = this.shown.map(({ id }) => id).filter((id) => id !== this.#focus);
    rememberRuns([...(this.#focus === null ? [] : [this.#focus]), ...others]);
    this.#tell({ type: 'selection' });
  }

  #place(run: string): void {
    if (this.#places.includes(run)) return;
    const free = this.#places.indexOf(null);
    this.#places[free < 0 ? this.#places.length : free] = run;
  }

  #give(run: string): void {
    const place = this.#places.indexOf(run);
    if (place >= 0) this.#places[place] = null;
  }

  #take(event: ServerEvent): void {
    if (event.type !== 'runs') {
      if (event.type === 'status') this.#statuses.set(event.run, event.status);
      this.#tell(event);
      return;
    }
    this.#runs = event.runs;
    this.#tell({ type: 'runs' });
    if (this.focus === null) this.#open();
  }

  /** Shows the runs that this tab showed before it was reloaded; a run that goes on if there were none. */
  #open(): void {
    const ids = new Set(this.#runs.map(({ id }) => id));
    const [known, ...others] = rememberedRuns().filter((id) => ids.has(id));
    const live = this.#runs.find(({ state }) => state === 'running') ?? this.#runs[0];
    const first = known ?? live?.id;
    if (first === undefined) return;
    this.setFocus(first);
    for (const id of others) this.setShown(id, true);
  }

  #connect(connection: Connection): void {
    const before = this.#connection;
    if (connection === before) return;
    this.#connection = connection;
    this.#tell({ type: 'connection' });
    // Views fetch the changes that they have missed.
    if (connection === 'open' && before !== 'connecting') this.#tell({ type: 'selection' });
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change);
  }
}

const KEY = 'cxmind-runs';

/** Ids of runs that this tab remembers, the focus first. */
function rememberedRuns(): readonly string[] {
  try {
    return sessionStorage.getItem(KEY)?.split(' ') ?? [];
  } catch {
    return [];
  }
}

function rememberRuns(ids: readonly string[]): void {
  try {
    sessionStorage.setItem(KEY, ids.join(' '));
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}
