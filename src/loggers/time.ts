import type { Messages } from '../protobuf.ts';

/** `google.protobuf.Timestamp`. */
export const Timestamp: Messages[string] = { seconds: ['int64', 1], nanos: ['int32', 2] };

/** Milliseconds since 1970 as that message. */
export function timestampOf(milliseconds: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanos: Math.round((milliseconds - seconds * 1000) * 1e6) };
}

/** Local time as folders of runs are named by it: `20250131_235959`. */
export function localStamp(milliseconds: number): string {
  const at = new Date(milliseconds);
  const two = (value: number): string => String(value).padStart(2, '0');
  const date = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`;
  return `${date}_${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}`;
}
