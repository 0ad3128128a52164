import assert from 'node:assert/strict';
import { CxmindError, type ErrorCode } from '../../src/errors.ts';

/** Tells whether some work refuses what it is given, for which it has this code and no other error. */
export function isRefused(code: ErrorCode, work: () => unknown): boolean {
  try {
    work();
    return false;
  } catch (error) {
    assert.ok(error instanceof CxmindError && error.code === code, String(error));
    return true;
  }
}
