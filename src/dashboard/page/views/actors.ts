/** Actors: the state of each, with its mailbox, memory, device and restarts. */
import type { RunDetail, RunListing, RunState } from '../../api.ts';
import type { ActorState, RunStatus } from '../../run-files.ts';
import { get } from '../client.ts';
import { div, element, emptyNote, fill, loading, soft, span, type Content } from '../dom.ts';
import { bytesText, countText, dateText, durationText } from '../format.ts';
import type { Change } from '../session.ts';
import { yet } from '../states.ts';
import { cell, numberCell, row, table } from '../table.ts';
import { View } from '../view.ts';
import { visibleText } from '../visible-text.ts';

export class Actors extends View {
  readonly #content = element('div', {}, emptyNote(loading));
  readonly element = element('section', { className: 'panel' }, this.#content);
  /** State that was drawn. */
  #state: RunState = 'unknown';

  show(): void {
    this.fetchOfFocus(async (focus, signal) => {
      const { status, listing } = await get<RunDetail>(`runs/${focus.id}`, {}, signal);
      this.#draw(status, listing);
    });
  }

  update(change: Change): void {
    const { focus } = this.session;
    if (focus === null) return;
    if (change.type === 'status' && change.run === focus.id) this.#draw(change.status, focus);
    // The status of a run that died does not change any more; the list of runs says that it died.
    if (change.type === 'runs' && focus.state !== this.#state) this.show();
  }

  /** @param run has the present state, which the status of a dead run lacks */
  #draw(status: RunStatus | null, run: RunListing): void {
    this.#state = run.state;
    fill(
      this.#content,
      status === null ? emptyNote('This run has no status.') : content(status, run),
    );
  }
}

function content(status: RunStatus, run: RunListing): Content {
  const { actors: all, deadLetters } = status;
  if (all.length === 0) return emptyNote(yet('No actors', run));
  const restarts = all.reduce((sum, actor) => sum + actor.restarts, 0);
  const facts = [
    `${countText(all.length)} actors`,
    `${countText(restarts)} restarts`,
    `${countText(deadLetters)} dead letters`,
    ...(run.goesOn
      ? []
      : [`as they were at ${dateText(status.updated)}, now the run is ${run.state}`]),
  ];
  const sorted = all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const heads = [
    ...['Actor', 'State', 'Works on', 'Mailbox'],
    ...[{ number: 'Restarts' }, { number: 'JS heap' }],
    ...['Device', 'Host'],
  ];
  return [
    element('p', { className: 'soft facts-line' }, facts.join(' · ')),
    table(
      'stacked actors',
      heads,
      sorted.map((actor) => actorRow(actor, status)),
    ),
  ];
}

function actorRow(actor: ActorState, { updated, host }: RunStatus): HTMLElement {
  const { name, status, node, device, mailbox, capacity, method, since, restarts } = actor;
  const { heapBytes, lastError } = actor;
  const kind = status === 'running' ? 'live' : status === 'stopped' ? 'odd' : 'bad';
  const duration = durationText(Math.max(0, updated - since) / 1000);
  const work =
    method === null
      ? soft(`idle for ${duration}`)
      : [visibleText(method), soft(` for ${duration}`)];
  const waiting = element('meter', {
    value: mailbox,
    max: Math.max(1, capacity),
    attributes: { 'aria-label': `${mailbox} of ${capacity} messages` },
  });
  const error = lastError === null ? null : div('error', visibleText(lastError));
  return row(visibleText(name), [
    cell([span(`badge ${kind}`, status), error], 'State'),
    cell(work, 'Works on'),
    cell([waiting, ` ${countText(mailbox)} of ${countText(capacity)}`], 'Mailbox'),
    numberCell(countText(restarts), 'Restarts'),
    numberCell(heapBytes === null ? '–' : bytesText(heapBytes), 'JS heap'),
    cell(device === null ? '–' : visibleText(device), 'Device'),
    cell(visibleText(node ?? host), 'Host'),
  ]);
}
