import * as t from 'io-ts';
import { fromWireError, toWireError, type CxmindError } from '../../src/errors.ts';
import { encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import { WireErrorForm } from './envelope.ts';
import { decodeAs } from './protocol.ts';
import { valueOf } from './ref.ts';

/** What happened to an actor; `restarts` counts from its spawn. */
export interface ActorEvent {
  readonly kind: 'started' | 'crashed' | 'restarted' | 'stopped';
  readonly name: string;
  /** Name of the node it is or was on; undefined in the system's own process. */
  readonly node?: string;
  readonly restarts: number;
  /** Why, for a crash and for the stop that follows from one. */
  readonly error?: CxmindError;
}

const EventForm = t.intersection([
  t.type({
    kind: t.keyof({ started: null, crashed: null, restarted: null, stopped: null }),
    name: t.string,
    restarts: t.number,
  }),
  t.partial({ node: t.string, error: WireErrorForm }),
]);

/** An event as a body, for actors elsewhere that watch. */
export function encodeEvent({ error, ...event }: ActorEvent): Body {
  return encodeBody({ ...event, ...(error && { error: toWireError(error) }) });
}

/** The event of a body. @throws WIRE_INVALID */
export function decodeEvent(body: Body): ActorEvent {
  const { error, ...event } = decodeAs(EventForm, valueOf(body), 'event');
  return { ...event, ...(error && { error: fromWireError(error) }) };
}
