import type { Link } from '../../transport/link.ts';
import { connectLink, type LinkOptions } from '../../transport/zmq/connect.ts';
import { makeRunKeys, ticketFor, type RunKeys } from '../../transport/zmq/keys.ts';
import { LinkListener } from '../../transport/zmq/listener.ts';

/** A listener on the loopback device, the links to it, and the keys that links need. */
export interface Head extends AsyncDisposable {
  readonly listener: LinkListener;
  readonly keys: RunKeys;
  /** The next link that a peer makes. */
  nextLink(): Promise<Link>;
}

/** Starts a listener. */
export async function startHead(options: Partial<LinkOptions> = {}): Promise<Head> {
  const keys = makeRunKeys();
  const listener = await LinkListener.bind({ address: 'tcp://127.0.0.1:*', keys, ...options });
  const links: Link[] = [];
  const waiting: ((link: Link) => void)[] = [];
  listener.onLink((link) => {
    const next = waiting.shift();
    if (next === undefined) links.push(link);
    else next(link);
  });
  return {
    listener,
    keys,
    nextLink() {
      const link = links.shift();
      if (link !== undefined) return Promise.resolve(link);
      return new Promise((resolve) => waiting.push(resolve));
    },
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}

/** A link to a head, in this process. */
export function join(
  head: Head,
  options: Partial<LinkOptions> & { endpoint?: string } = {},
): Promise<Link> {
  const { endpoint, ...join } = ticketFor(head.listener.endpoint, head.keys);
  return connectLink({ endpoint, keys: join, name: 'node', ...options });
}
