/** Log: the newest lines of a run, as they come; older lines are fetched when the reader scrolls up. */
import type { LogLine, LogPage } from '../../api.ts';
import { get } from '../client.ts';
import { div, element, emptyNote, fill, soft, span, type Content } from '../dom.ts';
import { clockText, countText, numberText, valueText } from '../format.ts';
import { logLevels } from '../log-levels.ts';
import type { Change } from '../session.ts';
import { Throttle } from '../tasks.ts';
import { View } from '../view.ts';
import { visibleText } from '../visible-text.ts';
import { WindowedList } from '../windowed-list.ts';

const PAGE = 500;
const REFRESH_MS = 500;
const ROW_HEIGHT = 24;

export class Log extends View {
  readonly #refresh = new Throttle(() => this.#fetchNew(), REFRESH_MS);
  readonly #list = new WindowedList('Log', ROW_HEIGHT, 'log-list');
  readonly #detail = element('div', {
    className: 'panel log-detail',
    attributes: { role: 'status' },
  });
  readonly #facts = element('span', { className: 'soft', attributes: { role: 'status' } });
  readonly #level = element(
    'select',
    { on: { change: () => this.#begin() } },
    logLevels.map((level) =>
      element('option', { value: level, selected: level === 'info' }, level),
    ),
  );
  readonly #follow = element('input', {
    type: 'checkbox',
    checked: true,
    on: { change: () => this.#draw() },
  });
  readonly element = div(
    'log',
    div(
      'toolbar',
      element('label', { className: 'field' }, 'At least', this.#level),
      element('label', { className: 'field' }, this.#follow, 'Follow the end'),
      this.#facts,
    ),
    this.#list.element,
    this.#detail,
  );
  #run = '';
  #lines: readonly LogLine[] = [];
  #before: number | null = null;
  #after = 0;
  #isBusy = false;

  show(): void {
    const { focus } = this.session;
    if (focus === null) return;
    this.#run = focus.id;
    this.#begin();
  }

  update(change: Change): void {
    if (change.type === 'grown' && change.what === 'log' && change.run === this.#run) {
      this.#refresh.ask();
    }
  }

  /** Fetches the newest page. */
  #begin(): void {
    this.#fetch({}, ({ lines, before, after }) => {
      this.#lines = lines;
      this.#before = before;
      this.#after = after;
      this.#list.select(null);
      fill(this.#detail, emptyNote('Choose a line to see all of its fields.'));
      this.#draw();
      this.#list.scrollToEnd();
    });
  }

  #fetchNew(): void {
    // A fetch under way is not aborted; it asks again at its end.
    if (this.#isBusy) {
      this.#refresh.ask();
      return;
    }
    this.#fetch({ after: this.#after }, ({ lines, after }) => {
      // A page may end before the last line of the log.
      if (after > this.#after) this.#refresh.ask();
      this.#after = after;
      if (lines.length === 0) return;
      this.#lines = [...this.#lines, ...lines];
      this.#draw();
    });
  }

  #fetchOld(): void {
    if (this.#before === null || this.#isBusy) return;
    this.#fetch({ before: this.#before }, ({ lines, before }) => {
      this.#before = before;
      this.#lines = [...lines, ...this.#lines];
      const { selected, element: box } = this.#list;
      const top = box.scrollTop;
      this.#draw();
      box.scrollTop = top + lines.length * ROW_HEIGHT;
      if (selected !== null) this.#list.mark(selected + lines.length);
    });
  }

  #fetch(query: { before?: number; after?: number }, take: (page: LogPage) => void): void {
    this.#isBusy = true;
    this.fetching.start(async (signal) => {
      const path = `runs/${this.#run}/log`;
      const asked = { ...query, count: PAGE, level: this.#level.value };
      const page = await get<LogPage>(path, asked, signal).finally(() => {
        // Work that was aborted has a successor.
        this.#isBusy = signal.aborted;
      });
      take(page);
    });
  }

  #draw(): void {
    const lines = this.#lines;
    const more = this.#before === null ? '' : ', older ones above';
    this.#facts.textContent = `${countText(lines.length)} lines${more}`;
    this.#list.show({
      count: lines.length,
      row: (i) => lineRow(lines[i]!),
      inSight: (first) => {
        if (first === 0) this.#fetchOld();
      },
      chosen: (i) => fill(this.#detail, lineDetail(lines[i]!)),
    });
    if (this.#follow.checked) this.#list.scrollToEnd();
    // A page may have no line of the level, and a list without rows sees none to go on from.
    if (lines.length === 0) this.#fetchOld();
  }
}

function lineRow({ time, level, event, fields }: LogLine): Content {
  const { text, ...others } = fields;
  // A note says itself.
  const isNote = event === 'note' && typeof text === 'string';
  const rest = Object.entries(isNote ? others : fields).map(
    ([name, value]) => `${name}=${shortText(value)}`,
  );
  return [
    span('soft log-time', time === null ? '' : clockText(time)),
    span(`level ${level}`, level),
    span('log-event', visibleText(isNote ? text : event)),
    span('soft log-fields', visibleText(rest.join('  '))),
  ];
}

function lineDetail({ time, level, event, fields }: LogLine): Content {
  const rows = Object.entries(fields).map(([name, value]) => [
    element('dt', {}, visibleText(name)),
    element('dd', { className: 'text' }, visibleText(valueText(value))),
  ]);
  return [
    element(
      'h2',
      {},
      span(`level ${level}`, level),
      ' ',
      visibleText(event),
      soft(time === null ? '' : ` ${clockText(time)}`),
    ),
    element('dl', { className: 'fields' }, rows),
  ];
}

/** A value in a line. Numbers have four digits; the chosen line shows all of them. */
function shortText(value: unknown): string {
  return typeof value === 'number' ? numberText(value) : valueText(value);
}
