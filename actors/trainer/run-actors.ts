import type { dataProtocol } from '../data/protocol.ts';
import type { referenceProtocol } from '../reference/protocol.ts';
import type { rewardProtocol } from '../reward/protocol.ts';
import type { rolloutProtocol } from '../rollout/protocol.ts';
import type { ActorRef } from '../runtime/ref.ts';
import type { Critics } from './critics.ts';
import type { Learners } from './learners.ts';

/** Refs to the actors of a run. */
export interface Cast {
  readonly data: ActorRef<typeof dataProtocol>;
  readonly learners: Learners;
  /** Null unless advantages are estimated from values. */
  readonly critics: Critics | null;
  readonly rollouts: readonly ActorRef<typeof rolloutProtocol>[];
  readonly rewards: readonly ActorRef<typeof rewardProtocol>[];
  /** Null when nothing needs reference log-probabilities. */
  readonly reference: ActorRef<typeof referenceProtocol> | null;
}
