/** Levels of a log, the lowest first, for the page and the server. */
import type { LogLevel } from '../api.ts';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const satisfies readonly LogLevel[];
