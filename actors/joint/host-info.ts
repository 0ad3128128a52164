/** The addresses of ranks in several processes, and the choice of those at which all reach each other. */
import { BlockList } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import * as t from 'io-ts';
import { bootId } from '../../src/host-identity.ts';

/** A process's host and addresses, from which the address is chosen at which others reach it. */
export const HostInfo = t.type({
  /** Id of the running kernel; equal for processes that share loopback addresses. */
  kernel: t.string,
  /** Addresses as networks, `10.0.0.3/24`; those that others may reach come first. */
  addresses: t.array(t.string),
});
export interface HostInfo extends t.TypeOf<typeof HostInfo> {}

/** Reads this process's host and addresses. */
export function hostInfo(): HostInfo {
  const interfaces = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  // A link-local address means nothing without the name of its interface.
  const usable = interfaces.filter(({ address }) => !address.startsWith('fe80:'));
  const order = (one: (typeof usable)[number]): number =>
    (one.internal ? 2 : 0) + (one.family === 'IPv4' ? 0 : 1);
  const addresses = usable
    .sort((a, b) => order(a) - order(b))
    .flatMap(({ cidr }) => (cidr === null ? [] : [cidr]));
  return { kernel: bootId() ?? hostname(), addresses };
}

/**
 * Chooses an address of each process that the others reach: one in the first network that all processes are in, or else
 * the first that each has. Loopback addresses count only among processes of one kernel.
 */
export function addressesOf(hosts: readonly HostInfo[]): string[] {
  const isOneKernel = new Set(hosts.map(({ kernel }) => kernel)).size === 1;
  const candidates = hosts.map(({ addresses }) =>
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
