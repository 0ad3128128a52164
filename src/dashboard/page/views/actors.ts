/** Actors: who works, waits or was restarted, with its mailbox, memory and device. */
import type { ActorState, RunDetail, RunStatus } from '../../api.ts';
import { get } from '../client.ts';
import { element, emptyNote, fill, loading, type Content } from '../dom.ts';
import { bytesText, countText, durationText } from '../format.ts';
import type { Change } from '../session.ts';
import { isLive } from '../states.ts';
import { Latest } from '../tasks.ts';
import type { View, ViewContext } from '../view.ts';
import { visibleText } from '../visible-text.ts';

export function actors(context: ViewContext): View {
  return new Actors(context);
}

class Actors implements View {
  readonly element: HTMLElement;
  readonly #context: ViewContext;
  readonly #fetching: Latest;
  readonly #content = element('div', {}, emptyNote(loading));

  constructor(context: ViewContext) {
    this.#context = context;
    this.#fetching = new Latest(context.failed);
    this.element = element(
      'section',
      { className: 'panel' },
      element('h1', { className: 'hidden' }, 'Actors'),
      this.#content,
    );
  }

  show(): void {
    const { focus } = this.#context.session;
    if (focus === null) return;
    this.#fetching.start(async (signal) => {
      const { status } = await get<RunDetail>(`runs/${focus.id}`, {}, signal);
      this.#draw(status);
    });
  }

  update(change: Change): void {
    const { focus } = this.#context.session;
    if (change.type === 'status' && change.run === focus?.id) this.#draw(change.status);
  }

  #draw(status: RunStatus | null): void {
    fill(this.#content, status === null ? emptyNote('This run has no status.') : content(status));
  }
}

function content(status: RunStatus): Content {
  const { actors: all, state, deadLetters, memory } = status;
  if (all.length === 0) return emptyNote('No actors yet.');
  const restarts = all.reduce((sum, actor) => sum + actor.restarts, 0);
  const facts = [
    `actors: ${countText(all.length)}`,
    `restarts: ${countText(restarts)}`,
    `dead letters: ${countText(deadLetters)}`,
    `resident memory: ${bytesText(memory.residentBytes)}`,
  ];
  const heads = ['Actor', 'State', 'Works on', 'Mailbox', 'Restarts', 'Heap', 'Device', 'Node'];
  const head = element(
    'tr',
    {},
    heads.map((name) => element('th', { scope: 'col' }, name)),
  );
  const ended = isLive(state) ? null : `as they were when the run was ${state}`;
  return [
    element('p', { className: 'soft' }, [...facts, ...(ended === null ? [] : [ended])].join(' · ')),
    element(
      'table',
      { className: 'stacked actors' },
      element('thead', {}, head),
      element(
        'tbody',
        {},
        all.map((actor) => row(actor, status.updated)),
      ),
    ),
  ];
}

function row(actor: ActorState, now: number): HTMLElement {
  const { name, status, node, device, mailbox, capacity, method, since, restarts } = actor;
  const { heapBytes, lastError } = actor;
  const kind = status === 'running' ? 'live' : status === 'stopped' ? 'odd' : 'bad';
  const span = durationText(Math.max(0, now - since) / 1000);
  const work =
    method === null
      ? element('span', { className: 'soft' }, `idle for ${span}`)
      : [visibleText(method), element('span', { className: 'soft' }, ` for ${span}`)];
  const waiting = element('meter', {
    value: mailbox,
    max: Math.max(1, capacity),
    attributes: { 'aria-label': `${mailbox} of ${capacity} messages` },
  });
  const error =
    lastError === null ? null : element('div', { className: 'error' }, visibleText(lastError));
  return element(
    'tr',
    {},
    element('th', { scope: 'row' }, visibleText(name)),
    cell('State', element('span', { className: `badge ${kind}` }, status)),
    cell('Works on', work),
    cell('Mailbox', [waiting, ` ${countText(mailbox)} of ${countText(capacity)}`]),
    cell('Restarts', [countText(restarts), error]),
    cell('Heap', heapBytes === null ? '–' : bytesText(heapBytes)),
    cell('Device', device === null ? '–' : visibleText(device)),
    cell('Node', node === null ? 'trainer’s' : visibleText(node)),
  );
}

function cell(label: string, inside: Content): HTMLElement {
  return element('td', { attributes: { 'data-label': label } }, element('div', {}, inside));
}
