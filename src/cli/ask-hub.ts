import type { HubAnswer } from '../doctor/hub.ts';
import { messageOf } from '../errors.ts';

const HUB_MS = 15_000;

/** Sends the hub one request, without a token. */
export async function askHub(url: string): Promise<HubAnswer> {
  try {
    const signal = AbortSignal.timeout(HUB_MS);
    const { status } = await fetch(url, { method: 'HEAD', signal });
    return { status };
  } catch (error) {
    // What `fetch` throws says only that it failed.
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    return { reason: messageOf(cause) || code };
  }
}
