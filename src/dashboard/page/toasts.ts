/** Short messages at the edge of the page: acknowledgements and errors. */
import { button, byId, div, element } from './dom.ts';
import { visibleText } from './visible-text.ts';

const SHOWN_MS = 8_000;

/** Kind of a message, which decides its colour and how long it stays. */
export type ToastKind = 'note' | 'good' | 'bad';

/** Replaces the words and the kind of an open message. */
export type Say = (words: string, kind: ToastKind) => void;

/** Opens a message. A `good` one closes by itself, any other stays until the reader closes it. */
export function toast(words: string, kind: ToastKind): Say {
  const text = element('span');
  const box = div(
    'toast',
    text,
    button('×', () => box.remove(), {
      className: 'plain',
      attributes: { 'aria-label': 'Close the message' },
    }),
  );
  let timer: number | null = null;
  const say: Say = (said, now) => {
    text.replaceChildren(visibleText(said));
    box.dataset['kind'] = now;
    if (timer !== null) clearTimeout(timer);
    timer = now === 'good' ? setTimeout(() => box.remove(), SHOWN_MS) : null;
  };
  say(words, kind);
  byId('toasts').append(box);
  return say;
}

/** Shows an error, unless an open message has the same words. */
export function tellError(error: unknown): void {
  const words = error instanceof Error ? error.message : String(error);
  const isTold = [...byId('toasts').children].some(({ textContent }) =>
    textContent.startsWith(words),
  );
  if (!isTold) toast(words, 'bad');
}
