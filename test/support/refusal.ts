import assert from 'node:assert/strict';
import { CxmindError, type ErrorCode } from '../../src/errors.ts';

/** Tells whether some work throws an error of this code; any other error fails the test. */
export function isRefused(code: ErrorCode, work: () => unknown): boolean {
  try {
    work();
    return false;
  } catch (error) {
    assert.ok(error instanceof CxmindError && error.code === code, String(error));
    return true;
  }
}
