/** Modal dialogs, on the browser's own `dialog`, which holds the focus and gives it back. */
import { button, div, element, type Content } from './dom.ts';

interface Choice {
  readonly title: string;
  readonly content: Content;
  /** Words of the button that agrees; null for a dialog that only shows. */
  readonly agree: string | null;
  readonly isDangerous?: boolean;
}

/** Shows a dialog. @returns true if the reader agreed */
export function ask({ title, content, agree, isDangerous = false }: Choice): Promise<boolean> {
  const heading = element('h2', { id: 'dialog-title' }, title);
  const dialog = element('dialog', { attributes: { 'aria-labelledby': 'dialog-title' } });
  const leave = button(agree === null ? 'Close' : 'Cancel', () => dialog.close('left'));
  const yes =
    agree === null
      ? null
      : button(agree, () => dialog.close('agreed'), {
          className: isDangerous ? 'danger' : 'primary',
        });
  dialog.append(heading);
  dialog.append(div('dialog-content', content));
  dialog.append(div('dialog-buttons', leave, yes));
  // A click beside the dialog has the dialog itself as its target.
  dialog.addEventListener('click', ({ target }) => {
    if (target === dialog) dialog.close('left');
  });
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'agreed');
    });
  });
}

/** Shows a dialog that only tells. */
export async function show(title: string, content: Content): Promise<void> {
  await ask({ title, content, agree: null });
}
