import { CxmindError } from '../../src/errors.ts';

/** Interval at which an end says that it is there, and the silence after which it is taken for dead. */
export interface Heartbeat {
  readonly intervalMs: number;
  readonly deadAfterMs: number;
}

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

/** Actions at each interval of a heartbeat. */
export interface Pulse {
  /** @param silentMs how long nothing came, counted in intervals */
  beat(silentMs: number): void;
  /** Is called once the peer was silent for too long. No beat follows. */
  dead(): void;
}

/**
 * Beats, and tells when the peer is gone.
 *
 * Silence is counted in intervals, not by the clock. While this process is held up or stopped, messages of the peer lie
 * unread, and the peer must not be taken for dead.
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

  /** Notes that something came from the peer. */
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
