/** Addresses of this host: those to listen at, and those by which others reach it. */
import { lookup } from 'node:dns/promises';
import { hostname, networkInterfaces, type NetworkInterfaceInfo } from 'node:os';

/** Addresses of this host's interfaces. */
export function ownAddresses(): NetworkInterfaceInfo[] {
  return Object.values(networkInterfaces()).flatMap((each) => each ?? []);
}

/** Address to listen at for all interfaces, those of IPv6 included if there are any. */
export function anyAddress(): string {
  return ownAddresses().some(({ family }) => family === 'IPv6') ? '[::]' : '0.0.0.0';
}

/**
 * Addresses by which other hosts may reach this one: first those that its name stands for, then those of IPv4, then
 * those of IPv6 that are not link-local.
 */
export async function reachableAddresses(): Promise<string[]> {
  const open = ownAddresses().filter(
    ({ internal, address }) => !internal && !address.startsWith('fe80:'),
  );
  const named = (await lookup(hostname(), { all: true }).catch(() => [])).map(
    ({ address }) => address,
  );
  const sorted = [
    ...open.filter(({ address }) => named.includes(address)),
    ...open.filter(({ family }) => family === 'IPv4'),
    ...open.filter(({ family }) => family === 'IPv6'),
  ];
  return [...new Set(sorted.map(({ address }) => address))];
}

/** Host in the form that endpoints have: an IPv6 address stands in brackets. */
export function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}
