import type { ThreadActor } from '../runtime/system.ts';
import type { RewardProps } from './actor.ts';
import { rewardProtocol } from './protocol.ts';

/** A reward actor to spawn in any system: `system.spawn({ name: 'reward/0', ...rewardSpec(props) })`. */
export function rewardSpec(
  props: RewardProps,
): Pick<
  ThreadActor<typeof rewardProtocol, RewardProps>,
  'protocol' | 'module' | 'create' | 'props'
> {
  const module = new URL('./actor.ts', import.meta.url);
  return { protocol: rewardProtocol, module, create: 'rewardActor', props };
}
