/** Times of a link's heartbeat. */
import * as t from 'io-ts';
import { CxmindError } from '../../src/errors.ts';

/** Interval at which an end says that it is there, and the silence after which it is taken for dead. */
export const Heartbeat = t.strict({ intervalMs: t.number, deadAfterMs: t.number });
export interface Heartbeat extends t.TypeOf<typeof Heartbeat> {}

/** Heartbeat of links that are given none: one a second, and dead after ten. */
export const defaultHeartbeat: Heartbeat = { intervalMs: 1000, deadAfterMs: 10_000 };

/** Checks the times of a heartbeat. @throws CONFIG_INVALID for times that no link could live by */
export function checkHeartbeat({ intervalMs, deadAfterMs }: Heartbeat): void {
  const isSound = Number.isInteger(intervalMs) && Number.isInteger(deadAfterMs) && intervalMs >= 1;
  if (isSound && deadAfterMs >= 2 * intervalMs && deadAfterMs <= 3_600_000) return;
  throw new CxmindError(
    'CONFIG_INVALID',
    `heartbeat: each ${intervalMs} ms and dead after ${deadAfterMs} ms; the second must be twice the first or more`,
  );
}
