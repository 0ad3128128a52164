import { alone, type LearnerGroup } from '../../src/training/learner-group.ts';
import { joinThreadGroup, type ThreadGroupHandle } from '../../transport/collectives/threads.ts';

/** A learner's place among the others, as plain data: how it joins them. */
export type LearnerSeat =
  | { readonly kind: 'alone' }
  /** All learners are threads of one process. */
  | { readonly kind: 'threads'; readonly group: ThreadGroupHandle; readonly rank: number };

/** A group that is left in the end. */
export type JoinedGroup = LearnerGroup & Partial<AsyncDisposable>;

/** Joins the others; does not wait for them. */
export function takeSeat(seat: LearnerSeat): JoinedGroup {
  return seat.kind === 'alone' ? alone : joinThreadGroup(seat.group, seat.rank);
}
