import { CxmindError } from '../../src/errors.ts';

/** How often an end says that it is there, and how long it may say nothing. */
export interface Heartbeat {
  readonly intervalMs: number;
  readonly deadAfterMs: number;
}

export const defaultHeartbeat: Heartbeat = { intervalMs: 1000, deadAfterMs: 10_000 };

/** @throws CONFIG_INVALID for times that no link could live by */
export function checkHeartbeat({ intervalMs, deadAfterMs }: Heartbeat): void {
  const isSound = Number.isInteger(intervalMs) && Number.isInteger(deadAfterMs) && intervalMs >= 1;
  if (isSound && deadAfterMs >= 2 * intervalMs && deadAfterMs <= 3_600_000) return;
  throw new CxmindError(
    'CONFIG_INVALID',
    `heartbeat: each ${intervalMs} ms and dead after ${deadAfterMs} ms; the second must be twice the first or more`,
  );
}

/** What to do at each interval of a heartbeat. */
export interface Pulse {
  /** @param silentMs how long nothing came, counted in intervals */
  beat(silentMs: number): void;
  /** The peer was silent for too long; no beat follows. */
  dead(): void;
}

/**
 * Beats, and tells when the peer is gone.
 *
 * Silence is counted in intervals, not by the clock: when this process was held up or stopped, what the peer sent
 * meanwhile is still unread, and the peer must not be taken for dead.
 */
export class Liveness implements Disposable {
  readonly #heartbeat: Heartbeat;
  readonly #pulse: Pulse;
  readonly #timer: NodeJS.Timeout;
  #silentIntervals = 0;

  constructor(heartbeat: Heartbeat, pulse: Pulse) {
    this.#heartbeat = heartbeat;
    this.#pulse = pulse;
    this.#timer = setInterval(() => this.#tick(), heartbeat.intervalMs);
  }

  /** Something came from the peer. */
  heard(): void {
    this.#silentIntervals = 0;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const silentMs = ++this.#silentIntervals * this.#heartbeat.intervalMs;
    if (silentMs > this.#heartbeat.deadAfterMs) {
      this[Symbol.dispose]();
      this.#pulse.dead();
    } else {
      this.#pulse.beat(silentMs);
    }
  }
}
