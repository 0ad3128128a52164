/** The header: the run in focus, its state and progress, the buttons that steer it, and a banner with what is wrong. */
import { button, byId, div, element, fill, named, soft, span } from './dom.ts';
import { RunPicker } from './run-picker.ts';
import type { Change, Session } from './session.ts';
import { explanationOf, progressText, stateBadge, timeLeftText } from './states.ts';
import { Steering } from './steering.ts';
import { toggleTheme } from './theme.ts';
import { visibleText } from './visible-text.ts';

const connections = {
  connecting: 'Connecting…',
  lost: 'The connection to the dashboard is lost. Trying again…',
  refused: 'The dashboard wants its token. Open the whole address that it printed.',
} as const;

export class Header {
  readonly picker: RunPicker;
  readonly #session: Session;
  readonly #steering = new Steering();
  readonly #facts = div('facts');

  /** @param help opens the list of keys */
  constructor(session: Session, help: () => void) {
    this.#session = session;
    this.picker = new RunPicker(session);
    byId('header').append(
      span('brand', 'cxmind'),
      this.picker.element,
      this.#facts,
      this.#steering.element,
      div(
        'tools',
        button('◐', toggleTheme, { className: 'plain', ...named('Light or dark', 't') }),
        button('?', help, { className: 'plain', ...named('Keys', '?') }),
      ),
    );
    this.#draw();
  }

  update(change: Change): void {
    if (change.type === 'request') this.#steering.follow(change.request);
    else if (change.type === 'status') this.#drawBanner();
    else if (change.type !== 'grown') this.#draw();
  }

  #draw(): void {
    const { focus } = this.#session;
    this.picker.draw();
    this.#steering.show(this.#session.connection === 'open' ? focus : null);
    this.#drawBanner();
    if (focus === null) {
      this.#facts.replaceChildren();
      return;
    }
    const { step, steps } = focus;
    const bar =
      steps === null
        ? null
        : element('progress', {
            value: step,
            max: steps,
            attributes: { 'aria-label': 'Progress' },
          });
    const words = element('span', {}, progressText(focus));
    fill(this.#facts, stateBadge(focus.state), words, bar, soft(timeLeftText(focus)));
  }

  /** Shows what is wrong with the connection or the run; the banner is empty where nothing is. */
  #drawBanner(): void {
    const { connection, focus } = this.#session;
    const banner = byId('banner');
    const words: (string | HTMLElement)[] = [];
    if (connection !== 'open') words.push(connections[connection]);
    const explanation = focus === null ? null : explanationOf(focus.state);
    if (explanation !== null) words.push(explanation);
    const error = focus === null ? null : this.#session.statusOf(focus.id)?.lastError;
    if (typeof error === 'string') words.push(visibleText(error));
    const kind = connection === 'lost' || connection === 'refused' || explanation ? 'bad' : 'note';
    banner.dataset['kind'] = kind;
    const lines = words.map((word) => element('p', {}, word));
    // Live regions speak whenever their content is replaced, so the same words stay.
    const isSame =
      lines.map(({ textContent }) => textContent).join() ===
      [...banner.children].map(({ textContent }) => textContent).join();
    if (!isSame) fill(banner, lines);
  }
}
