/** Short messages at the edge of the page: acknowledgements and errors. */
import { button, byId, element } from './dom.ts';
import { visibleText } from './visible-text.ts';

const SHOWN_MS = 8_000;

/** A message that stays until it is told to go. */
export interface Toast {
  say(words: string, kind?: ToastKind): void;
}

export type ToastKind = 'note' | 'good' | 'bad';

/** Opens a message; one that is good goes by itself, one that is bad stays until the reader closes it. */
export function toast(words: string, kind: ToastKind = 'note'): Toast {
  const text = element('span');
  const box = element(
    'div',
    { className: 'toast' },
    text,
    button('×', () => box.remove(), {
      className: 'plain',
      attributes: { 'aria-label': 'Close the message' },
    }),
  );
  let timer: number | null = null;
  const say = (said: string, now: ToastKind = 'note'): void => {
    text.replaceChildren(visibleText(said));
    box.dataset['kind'] = now;
    if (timer !== null) clearTimeout(timer);
    timer = now === 'good' ? setTimeout(() => box.remove(), SHOWN_MS) : null;
  };
  say(words, kind);
  byId('toasts').append(box);
  return { say };
}

/** Tells of an error, once while its words are there. */
export function tellError(error: unknown): void {
  const words = error instanceof Error ? error.message : String(error);
  const isTold = [...byId('toasts').children].some(({ textContent }) =>
    textContent.startsWith(words),
  );
  if (!isTold) toast(words, 'bad');
}
