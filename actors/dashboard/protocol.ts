import * as t from 'io-ts';
import { call, protocol } from '../runtime/protocol.ts';

/** Calls of the actor that serves a run's dashboard. */
export const dashboardProtocol = protocol('dashboard', {
  /** The URL to open, with its token. */
  url: call(t.void, t.string),
});
