/** Levels of a log, the lowest first: for the page, which offers them, and for whoever reads a log from one on. */
import type { LogLevel } from '../api.ts';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const satisfies readonly LogLevel[];
