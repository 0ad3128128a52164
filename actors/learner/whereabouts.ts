import { readFileSync } from 'node:fs';
import { BlockList } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import * as t from 'io-ts';

/** What a process tells of where it is, so that it can be told at which address others reach it. */
export const Whereabouts = t.type({
  /** The running kernel. */
  kernel: t.string,
  /** Its addresses as networks, `10.0.0.3/24`; those that others may reach first. */
  addresses: t.array(t.string),
});
export interface Whereabouts extends t.TypeOf<typeof Whereabouts> {}

/** Where this process is. */
export function whereabouts(): Whereabouts {
  const interfaces = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  // An address of the link alone means nothing without the name of its interface.
  const usable = interfaces.filter(({ address }) => !address.startsWith('fe80:'));
  const order = (one: (typeof usable)[number]): number =>
    (one.internal ? 2 : 0) + (one.family === 'IPv4' ? 0 : 1);
  const addresses = usable
    .sort((a, b) => order(a) - order(b))
    .flatMap(({ cidr }) => (cidr === null ? [] : [cidr]));
  try {
    const kernel = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return { kernel, addresses };
  } catch {
    return { kernel: hostname(), addresses };
  }
}

/**
 * An address of each process that the others reach: of the first network that all are in, or else the first
 * that each has.
 *
 * Loopback addresses count only among processes of one kernel.
 */
export function addressesOf(places: readonly Whereabouts[]): string[] {
  const isOneKernel = new Set(places.map(({ kernel }) => kernel)).size === 1;
  const candidates = places.map(({ addresses }) =>
    addresses.filter((cidr) => isOneKernel || !/^(127\.|::1\/)/.test(cidr)),
  );
  for (const network of candidates[0] ?? []) {
    const members = candidates.map((some) => some.find((cidr) => isIn(network, cidr)));
    if (members.every((member) => member !== undefined)) return members.map(hostOf);
  }
  return candidates.map(([first]) => hostOf(first ?? '127.0.0.1/8'));
}

function isIn(network: string, cidr: string): boolean {
  const [base = '', prefix = ''] = network.split('/');
  const family = base.includes(':') ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(base, Number(prefix), family);
  return hostOf(cidr).includes(':') === (family === 'ipv6') && list.check(hostOf(cidr), family);
}

function hostOf(cidr: string): string {
  return cidr.split('/')[0]!;
}
