/** The contract between the page and its views. */
import type { Change, Session } from './session.ts';
import type { StepPicker } from './step-picker.ts';

/** A view of the page, made when it is first shown. */
export interface View {
  readonly element: HTMLElement;
  /** Shows the session as it is now: when the view comes into sight, and when other runs were chosen. */
  show(): void;
  /** Takes a change while the view is in sight. */
  update?(change: Change): void;
  /** Choice of the step, where the view shows one step. */
  readonly picker?: StepPicker;
}

export type ViewClass = new (session: Session) => View;
