import assert from 'node:assert/strict';
import type { Protocol } from '../../actors/runtime/protocol.ts';
import type { ActorRef, Ask } from '../../actors/runtime/ref.ts';

/** A ref without an actor: `ask` answers its calls, and any other use fails. */
export function fakeRef<P extends Protocol>(
  name: string,
  protocol: P,
  ask: Partial<Ask<P>>,
): ActorRef<P> {
  const unused = new Proxy({}, { get: () => assert.fail(`${name}: not to be called`) });
  const address = { name, address: name, protocol, pending: 0, status: 'running' } as const;
  return { ...address, ask, tell: unused, stream: unused } as ActorRef<P>;
}
