/** The hub that checkpoints and data sets are loaded from. */
import { broken, ok, worthKnowing, type Finding } from './finding.ts';
import type { Machine } from './machine.ts';

/** Answer of the hub: a status of HTTP, or the reason why there is none. */
export type HubAnswer = { readonly status: number } | { readonly reason: string };

const FIRST_SERVER_ERROR = 500;

/**
 * Checks that the hub answers.
 *
 * @param ask sends one request to the hub's address
 */
export async function checkHub(
  { url, isOffline }: { readonly url: string; readonly isOffline: boolean },
  { environment }: Pick<Machine, 'environment'>,
  ask: (url: string) => Promise<HubAnswer>,
): Promise<Finding[]> {
  if (isOffline) {
    const says = 'HF_HUB_OFFLINE is set; only what is in the cache is read';
    return [worthKnowing('hub', says, 'unset HF_HUB_OFFLINE')];
  }
  const answer = await ask(url);
  // An address may have a password in it.
  const name = URL.canParse(url) ? new URL(url).host : 'HF_ENDPOINT';
  if ('status' in answer && answer.status < FIRST_SERVER_ERROR) {
    return [ok('hub', `${name} answers`)];
  }
  const reason = 'status' in answer ? `status ${answer.status}` : answer.reason;
  return [broken('hub', `${name} does not answer: ${reason}`, wayOut(environment))];
}

function wayOut(environment: Machine['environment']): string {
  const isSet = (name: string): boolean => (environment[name] ?? '') !== '';
  const hasProxy = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].some(isSet);
  // Node asks no proxy without this.
  if (hasProxy && !isSet('NODE_USE_ENV_PROXY')) return 'export NODE_USE_ENV_PROXY=1';
  return isSet('HF_ENDPOINT') ? 'unset HF_ENDPOINT' : 'curl -sSI https://huggingface.co';
}
