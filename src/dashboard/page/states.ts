/** States of runs in words and colours. */
import type { RunListing, RunState } from '../api.ts';
import { span } from './dom.ts';
import { countText, durationText } from './format.ts';

/** Kind of a state: `live` goes on, `good` ended well, `odd` and `bad` need attention. */
type Kind = 'live' | 'good' | 'odd' | 'bad';

const kinds: Readonly<Record<RunState, Kind>> = {
  starting: 'live',
  running: 'live',
  stopping: 'live',
  done: 'good',
  stopped: 'odd',
  failed: 'bad',
  dead: 'bad',
  silent: 'odd',
  unknown: 'odd',
};

/** Explanations of the states that a reader must be told of. */
const explanations: Readonly<Partial<Record<RunState, string>>> = {
  failed: 'An error ended this run.',
  dead: 'This run is dead: its process is gone, and it did not say why. Its command goes on from its newest checkpoint, if it has one.',
  silent:
    'This run gave no sign of life for a minute, and its process cannot be looked up from here.',
};

/** A badge with a state. */
export function stateBadge(state: RunState): HTMLElement {
  return span(`badge ${kinds[state]}`, state);
}

/** Explanation of a state that a reader must be told of; null for other states. */
export function explanationOf(state: RunState): string | null {
  return explanations[state] ?? null;
}

/** Words for something that a run lacks: `No metrics yet.` while it goes on, `No metrics.` after its end. */
export function yet(none: string, { goesOn }: Pick<RunListing, 'goesOn'>): string {
  return goesOn ? `${none} yet.` : `${none}.`;
}

/** Progress in words: `step 1,200 of 10,000`. */
export function progressText({ step, steps }: RunListing): string {
  return steps === null
    ? `step ${countText(step)}`
    : `step ${countText(step)} of ${countText(steps)}`;
}

/** Time left in words; empty where it is not known. */
export function timeLeftText({ secondsLeft }: RunListing): string {
  return secondsLeft === null ? '' : `${durationText(secondsLeft)} left`;
}
