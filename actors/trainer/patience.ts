/** Long enough for any work of an actor. The runtime notices a lost actor at once, without it. */
export const ANY_WORK_MS = 24 * 3600_000;

/** Retries of work that may be done twice. */
export const RETRIES = 5;
