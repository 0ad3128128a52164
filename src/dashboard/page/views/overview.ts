/** Overview: a run's progress, present work and warnings, and charts of its main metrics. */
import type { MetricList, RunDetail, RunListing, RequestList } from '../../api.ts';
import type { RunRequest, RunStatus } from '../../run-files.ts';
import { ChartSet } from '../charts/chart-set.ts';
import { plainSettings } from '../charts/curves.ts';
import { get } from '../client.ts';
import {
  button,
  card,
  div,
  element,
  emptyNote,
  fill,
  loading,
  panel,
  refill,
  soft,
  type Content,
} from '../dom.ts';
import { bytesText, clockText, countText, dateText, durationText, numberText } from '../format.ts';
import type { Change } from '../session.ts';
import { progressText, stateBadge, yet } from '../states.ts';
import { cell, row, table } from '../table.ts';
import { Throttle } from '../tasks.ts';
import { View } from '../view.ts';
import { visibleText } from '../visible-text.ts';

/** Main metrics of a run; of each row the first that the run has is shown. */
const telling: readonly (readonly string[])[] = [
  ['reward/overall', 'critic/rewards/mean', 'critic/score/mean', 'sft/loss', 'train/loss', 'loss'],
  ['val/reward_score', 'val/loss'],
  ['reward/acc', 'reward/accuracy'],
  ['val/acc_reward', 'val/accuracy_reward', 'val/accuracy'],
  ['response_length/mean'],
  ['actor/entropy_loss', 'actor/entropy'],
  ['actor/kl_loss', 'actor/reward_kl_penalty', 'actor/ppo_kl'],
  ['actor/grad_norm', 'sft/grad_norm', 'grad_norm'],
  ['timing_s/step', 'perf/throughput'],
];

const REFRESH_MS = 1_000;

export class Overview extends View {
  readonly #charts: ChartSet = new ChartSet(this.session, (range) =>
    this.#charts.apply({ ...plainSettings, range }),
  );
  readonly #refresh = new Throttle(() => this.#fetch(), REFRESH_MS);
  readonly #cards = div('cards');
  readonly #now = element('div', {});
  readonly #warnings = element('div', {});
  readonly #requests = element('div', {});
  readonly #curves = div('charts');
  readonly #runs = element('section', { className: 'panel', hidden: true });
  readonly element = div(
    'overview',
    this.#cards,
    div(
      'columns',
      panel('Now', this.#now),
      panel('Warnings', this.#warnings),
      panel('Requests', this.#requests),
    ),
    this.#charts.legend,
    this.#curves,
    this.#runs,
  );
  #detail: RunDetail | null = null;

  show(): void {
    const { focus } = this.session;
    if (this.#detail?.listing.id !== focus?.id) this.#clear();
    this.#charts.refresh();
    this.#drawRuns();
    this.#fetch();
  }

  update(change: Change): void {
    if (change.type === 'runs') this.#drawRuns();
    if (change.type === 'grown' && change.what === 'metrics') this.#charts.grow();
    const { focus } = this.session;
    if (!('run' in change) || change.run !== focus?.id) return;
    if (change.type === 'status') this.#drawStatus(change.status);
    else this.#refresh.ask();
  }

  /** Shows what the session knows of another run already. */
  #clear(): void {
    const { focus } = this.session;
    this.#detail = null;
    if (focus !== null) this.#drawStatus(this.session.statusOf(focus.id));
    fill(this.#warnings, emptyNote(loading));
    fill(this.#requests, emptyNote(loading));
  }

  #fetch(): void {
    this.fetchOfFocus(async (focus, signal) => {
      const path = `runs/${focus.id}`;
      const [detail, { metrics }, { requests }] = await Promise.all([
        get<RunDetail>(path, {}, signal),
        get<MetricList>(`${path}/metrics`, {}, signal),
        get<RequestList>(`${path}/requests`, {}, signal),
      ]);
      this.#detail = detail;
      this.#drawStatus(detail.status);
      fill(this.#warnings, warningList(detail));
      fill(this.#requests, requestList(requests));
      const names = new Set(metrics.map(({ name }) => name));
      const chosen = telling.flatMap((row) => row.find((name) => names.has(name)) ?? []);
      fill(
        this.#curves,
        chosen.length === 0
          ? emptyNote(yet('No metrics', detail.listing))
          : chosen.map((name) => this.#charts.elementOf(name)),
      );
    });
  }

  #drawStatus(status: RunStatus | null): void {
    const listing = this.session.focus ?? this.#detail?.listing ?? null;
    if (listing === null) return;
    fill(this.#cards, cards(listing, status), summaryCards(this.#detail?.summary ?? null));
    fill(this.#now, nowList(listing, status));
  }

  #drawRuns(): void {
    const { runs, focus } = this.session;
    this.#runs.hidden = runs.length < 2;
    const rows = runs.map((run) => {
      const focusOn = (): void => this.session.setFocus(run.id);
      const open = button(visibleText(run.name), focusOn, {
        className: 'link',
        attributes: { 'aria-pressed': run.id === focus?.id },
      });
      const { state, secondsLeft, updated } = run;
      return row(open, [
        cell(stateBadge(state), 'State'),
        cell(progressText(run), 'Progress'),
        cell(secondsLeft === null ? '–' : durationText(secondsLeft), 'Time left'),
        cell(updated === null ? '–' : dateText(updated), 'Last sign of life'),
      ]);
    });
    const heads = ['Run', 'State', 'Progress', 'Time left', 'Last sign of life'];
    refill(this.#runs, element('h2', {}, 'Runs'), table('stacked', heads, rows));
  }
}

/** Cards with the main facts of a run, besides its state and step, which the header has. */
function cards(listing: RunListing, status: RunStatus | null): HTMLElement[] {
  const { goesOn, secondsLeft, folder } = listing;
  const made: HTMLElement[] = [];
  if (secondsLeft !== null) {
    const end = dateText(Date.now() + 1000 * secondsLeft);
    made.push(card('Time left', durationText(secondsLeft), `until ${end}`));
  }
  if (status === null) return made;
  const { secondsPerStep, checkpoint, device, started, updated } = status;
  if (secondsPerStep !== null) {
    made.push(card('Step time', durationText(secondsPerStep), 'mean of all steps'));
  }
  const spent = durationText((updated - started) / 1000);
  made.push(card(goesOn ? 'Runs for' : 'Ran for', spent, `since ${dateText(started)}`));
  made.push(...memoryCards(status));
  made.push(
    checkpoint === null
      ? card('Checkpoint', goesOn ? 'none yet' : 'none')
      : card(
          'Checkpoint',
          `step ${countText(checkpoint.step)}`,
          visibleText(stepFolder(folder, checkpoint.path)),
        ),
  );
  made.push(card('Device', visibleText(device), `process ${status.pid} on ${status.host}`));
  return made;
}

/** Memory of the run's process, and of each device that reports it. */
function memoryCards({ memory, deviceMemory }: RunStatus): HTMLElement[] {
  const free = (room: { freeBytes: number; totalBytes: number }): string =>
    `${bytesText(room.freeBytes)} of ${bytesText(room.totalBytes)} free`;
  return [
    card('Memory', bytesText(memory.residentBytes), free(memory)),
    ...deviceMemory.map(({ device, ...room }) =>
      card(`Memory of ${device}`, bytesText(room.totalBytes - room.freeBytes), free(room)),
    ),
  ];
}

/** Name of a checkpoint's folder inside the run's folder; the whole path of one that lies elsewhere. */
function stepFolder(run: string, path: string): string {
  return path.startsWith(`${run}/`) ? path.slice(run.length + 1).split('/')[0]! : path;
}

/** Cards of numbers in the summary of a run that ended. */
function summaryCards(summary: RunDetail['summary']): HTMLElement[] {
  return Object.entries(summary ?? {}).flatMap(([name, value]) =>
    typeof value === 'number' && name.startsWith('val_')
      ? [card(name.replaceAll('_', ' '), numberText(value))]
      : [],
  );
}

function nowList({ state, goesOn }: RunListing, status: RunStatus | null): Content {
  if (status === null) return emptyNote(state === 'unknown' ? 'This run has no status.' : loading);
  if (!goesOn) return emptyNote(`The run is ${state}.`);
  const now = Date.now();
  const phases = status.phases.map(({ name, since }) =>
    element(
      'li',
      {},
      visibleText(name),
      soft(`for ${durationText(Math.max(0, now - since) / 1000)}`),
    ),
  );
  const progress = status.progress.map(({ name, done, total }) =>
    element(
      'li',
      {},
      visibleText(name),
      element('progress', {
        value: done,
        max: Math.max(1, total),
        attributes: { 'aria-label': name },
      }),
      soft(`${countText(done)} of ${countText(total)}`),
    ),
  );
  if (phases.length + progress.length === 0) return emptyNote('Between two phases.');
  return element('ul', { className: 'plain-list' }, phases, progress);
}

function warningList({ warnings }: RunDetail): Content {
  if (warnings.length === 0) return emptyNote('None.');
  const rows = warnings
    .toReversed()
    .map(({ time, text }) =>
      element('li', {}, timeElement(time), visibleText(text.replace(/^warning: /, ''))),
    );
  return element('ul', { className: 'plain-list warnings' }, rows);
}

function requestList(requests: readonly RunRequest[]): Content {
  if (requests.length === 0) return emptyNote('None.');
  const rows = requests.map(({ kind, state, asked, text }) =>
    element('li', {}, timeElement(asked), `${kind}: ${state}`, text !== '' && visibleText(text)),
  );
  return element('ul', { className: 'plain-list' }, rows);
}

function timeElement(time: number): HTMLElement {
  const dateTime = new Date(time).toISOString();
  return element('time', { className: 'soft', dateTime }, clockText(time));
}
