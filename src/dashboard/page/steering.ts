/**
 * Buttons that ask a run to stop, save or validate. Each asks the reader first, and then shows the state of the request.
 *
 * The server writes a request into the run's folder, and the run takes it between two steps. So the outcome may take as
 * long as a step.
 */
import type { RunListing } from '../api.ts';
import type { RequestKind, RunRequest } from '../run-files.ts';
import { post } from './client.ts';
import { ask } from './dialog.ts';
import { button, element } from './dom.ts';
import { tellError, toast, type Say, type ToastKind } from './toasts.ts';
import { visibleText } from './visible-text.ts';

interface Words {
  readonly button: string;
  readonly question: string;
  readonly explanation: string;
  readonly agree: string;
}

const words: Readonly<Record<RequestKind, Words>> = {
  save: {
    button: 'Save now',
    question: 'Save a checkpoint now?',
    explanation: 'The run finishes its step, writes a checkpoint and goes on.',
    agree: 'Save',
  },
  validate: {
    button: 'Validate now',
    question: 'Validate now?',
    explanation: 'The run finishes its step, answers the validation questions and goes on.',
    agree: 'Validate',
  },
  stop: {
    button: 'Stop',
    question: 'Stop the run?',
    explanation: 'The run finishes its step, saves a checkpoint and ends. It can be resumed.',
    agree: 'Stop the run',
  },
};

/** States of a request in words. */
const states: Readonly<Record<RunRequest['state'], string>> = {
  waiting: 'asked; the run takes it when its present step is over',
  taken: 'the run is at it',
  done: 'done',
  failed: 'failed',
};

/** The group of buttons. */
export class Steering {
  readonly element: HTMLElement;
  readonly #buttons: readonly HTMLButtonElement[];
  readonly #toasts = new Map<string, Say>();
  /** Newest states of requests by id. An event may come before the answer to the POST that made the request. */
  readonly #newest = new Map<string, RunRequest>();
  #run: RunListing | null = null;

  constructor() {
    const kinds: readonly RequestKind[] = ['save', 'validate', 'stop'];
    this.#buttons = kinds.map((kind) =>
      button(words[kind].button, () => void this.#request(kind), {
        className: kind === 'stop' ? 'danger' : '',
        disabled: true,
        attributes: { 'data-request': kind },
      }),
    );
    this.element = element(
      'div',
      { className: 'steering', attributes: { role: 'group', 'aria-label': 'Steer the run' } },
      this.#buttons,
    );
  }

  /** Steers another run. A run that has ended, is ending, or is a warm start takes no requests. */
  show(run: RunListing | null): void {
    this.#run = run;
    for (const each of this.#buttons) {
      each.disabled = run?.takesRequests !== true;
      each.title = run === null || run.takesRequests ? '' : 'This run takes no requests now';
    }
  }

  /** Shows the new state of a request that this page made. */
  follow(request: RunRequest): void {
    this.#newest.set(request.id, request);
    this.#toasts.get(request.id)?.(acknowledgement(request), kindOf(request));
  }

  async #request(kind: RequestKind): Promise<void> {
    const run = this.#run;
    if (run === null) return;
    const { question, explanation, agree } = words[kind];
    const content = [element('p', {}, visibleText(run.name)), element('p', {}, explanation)];
    const isDangerous = kind === 'stop';
    if (!(await ask({ title: question, content, agree, isDangerous }))) return;
    try {
      const made = await post<RunRequest>(`runs/${run.id}/requests`, { kind });
      const request = this.#newest.get(made.id) ?? made;
      this.#toasts.set(request.id, toast(acknowledgement(request), kindOf(request)));
    } catch (error) {
      tellError(error);
    }
  }
}

function acknowledgement({ kind, state, text }: RunRequest): string {
  const isOver = state === 'done' || state === 'failed';
  return `${words[kind].button}: ${states[state]}${isOver && text !== '' ? `, ${text}` : ''}`;
}

function kindOf({ state }: RunRequest): ToastKind {
  return state === 'done' ? 'good' : state === 'failed' ? 'bad' : 'note';
}
