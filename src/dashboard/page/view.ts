/** The contract between the page and its views. */
import type { RunListing } from '../api.ts';
import type { Change, Session } from './session.ts';
import type { StepPicker } from './step-picker.ts';
import { Latest } from './tasks.ts';

/** A view of the page, made when it is first shown. */
export abstract class View {
  abstract readonly element: HTMLElement;
  /** Choice of the step, where the view shows one step. */
  readonly picker: StepPicker | null = null;
  protected readonly session: Session;
  /** Fetches what the view shows. */
  protected readonly fetching = new Latest();

  constructor(session: Session) {
    this.session = session;
  }

  /** Shows the session as it is now. It is called when the view comes into sight, and when other runs were chosen. */
  abstract show(): void;

  /** Takes a change while the view is in sight. */
  abstract update(change: Change): void;

  /** Fetches something of the run in focus, once there is one. */
  protected fetchOfFocus(work: (focus: RunListing, signal: AbortSignal) => Promise<void>): void {
    const { focus } = this.session;
    if (focus !== null) this.fetching.start((signal) => work(focus, signal));
  }
}

/** The class of a view, which a tab makes it from. */
export type ViewClass = new (session: Session) => View;
