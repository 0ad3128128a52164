import { CxmindError } from '../../src/errors.ts';
import type { EmptyHosts, HostEntry } from './hostfile.ts';

/** A host that processes may be started on. */
export interface Host {
  readonly host: string;
  /** User name for ssh; undefined to let ssh decide. */
  readonly user: string | undefined;
  readonly port: number | undefined;
  /** Number of actors that the host takes; 'cores' until the host was asked for the number of its cores. */
  readonly slots: number | 'cores';
  /** Most actors that the host takes when more actors than slots are allowed. */
  readonly maxSlots: number;
}

/** Options of the hosts that entries describe: what they narrow, and the slots of a bare name. */
export interface AllocationOptions {
  /** Hosts to choose from, which relative entries count. Without a pool any host may be named. */
  readonly pool?: readonly Host[];
  /** Slots of a host that is named once and without a number, and is in no pool. */
  readonly bareSlots: 1 | 'cores';
}

/** An entry that gives a host slots. */
type Claim = Exclude<HostEntry, { kind: 'excluded' }>;

/**
 * Finds the hosts that the entries of a hostfile or of a host list describe, in the order of their first entries.
 *
 * A host with several entries gets the sum of their slots, one for each entry without a number. With a pool, entries
 * narrow it: a host without a number has all its slots, and more than those are refused.
 *
 * @throws CONFIG_INVALID for hosts outside of the pool, for relative hosts without one, and when no host is left
 * @see mpirun(1) of Open MPI 4.1, "Specifying Host Nodes"
 */
export function hostsOf(entries: readonly HostEntry[], options: AllocationOptions): Host[] {
  const { pool } = options;
  const excluded = new Set(entries.flatMap((e) => (e.kind === 'excluded' ? [e.host] : [])));
  const claims = claimsOf(entries, pool);
  const isExclusive = pool !== undefined && claims.size === 0;
  const hosts = isExclusive
    ? pool
    : [...claims].map(([host, entriesOf]) => hostOf(host, entriesOf, options));
  const left = hosts.filter(({ host }) => !excluded.has(host));
  if (left.length === 0) {
    const source = entries[0] === undefined ? '' : ` (${entries[0].source})`;
    throw new CxmindError('CONFIG_INVALID', `no host to start on is left${source}`);
  }
  return left;
}

/** The entries for each host. */
function claimsOf(entries: readonly HostEntry[], pool?: readonly Host[]): Map<string, Claim[]> {
  const claims = new Map<string, Claim[]>();
  const named = new Set(entries.flatMap((entry) => namesOf(entry, pool)));
  for (const entry of entries) {
    if (entry.kind === 'excluded') continue;
    const hosts =
      entry.kind === 'empty' ? emptyHosts(entry, pool, named, claims) : namesOf(entry, pool);
    for (const host of hosts) {
      if (!claims.has(host)) claims.set(host, []);
      claims.get(host)!.push(entry);
    }
  }
  return claims;
}

/** Host that an entry names by itself or by its place in the pool. */
function namesOf(entry: HostEntry, pool?: readonly Host[]): string[] {
  if (entry.kind === 'named') return [entry.host];
  if (entry.kind !== 'relative') return [];
  const { index, source } = entry;
  const host = requirePool(`+n${index}`, source, pool)[index];
  if (host !== undefined) return [host.host];
  throw new CxmindError(
    'CONFIG_INVALID',
    `${source}: +n${index}: there are ${pool!.length} hosts, from +n0 (${pool![0]!.host}) to +n${pool!.length - 1}`,
  );
}

function emptyHosts(
  { count, source }: EmptyHosts,
  pool: readonly Host[] | undefined,
  named: ReadonlySet<string>,
  taken: ReadonlyMap<string, unknown>,
): string[] {
  const text = count === undefined ? '+e' : `+e:${count}`;
  const free = requirePool(text, source, pool)
    .map(({ host }) => host)
    .filter((host) => !named.has(host) && !taken.has(host));
  if (count !== undefined && count > free.length) {
    const facts = `${count} hosts that nothing else names, and there are ${free.length}`;
    throw new CxmindError('CONFIG_INVALID', `${source}: ${text}: asks for ${facts}`);
  }
  return free.slice(0, count);
}

function requirePool(text: string, source: string, pool?: readonly Host[]): readonly Host[] {
  if (pool !== undefined) return pool;
  throw new CxmindError(
    'CONFIG_INVALID',
    `${source}: ${text} is relative to a list of hosts, and there is none: give it by --default-hostfile, ` +
      'or by --hostfile where this stands in --host',
  );
}

/** A host by all entries for it, of which the last one that says a thing counts. */
function hostOf(
  host: string,
  claims: readonly Claim[],
  { pool, bareSlots }: AllocationOptions,
): Host {
  const { source } = claims[0]!;
  const all = pool === undefined ? undefined : memberOf(pool, host, source);
  const slots = slotsOf(claims) ?? all?.slots ?? bareSlots;
  const limits = claims.map((claim) => claim.maxSlots);
  const maxSlots = lastOf(limits) ?? all?.maxSlots ?? Infinity;
  if (slots !== 'cores' && slots > maxSlots) {
    throw exceeding(host, source, `has ${slots} slots and max_slots=${maxSlots}`);
  }
  if (typeof all?.slots === 'number' && (slots === 'cores' || slots > all.slots)) {
    throw exceeding(host, source, `has ${all.slots} slots, and ${slots} are asked for`);
  }
  const named = claims.filter((claim) => claim.kind === 'named');
  const user = lastOf(named.map((claim) => claim.user)) ?? all?.user;
  const port = lastOf(named.map((claim) => claim.port)) ?? all?.port;
  return { host, user, port, slots, maxSlots };
}

/** Sum of the slots of entries, one for each that gives no number; undefined for one such entry alone. */
function slotsOf(claims: readonly Claim[]): number | 'cores' | undefined {
  const all = claims.map(({ slots, maxSlots }) => slots ?? maxSlots);
  if (all.length === 1) return all[0];
  if (all.includes('cores')) return 'cores';
  return all.reduce<number>((sum, slots) => sum + Number(slots ?? 1), 0);
}

function lastOf<T>(values: readonly (T | undefined)[]): T | undefined {
  return values.findLast((value) => value !== undefined);
}

function memberOf(pool: readonly Host[], host: string, source: string): Host {
  const member = pool.find((each) => each.host === host);
  if (member !== undefined) return member;
  const known = pool.map((each) => each.host).join(', ');
  throw new CxmindError(
    'CONFIG_INVALID',
    `${source}: ${host} is not among the hosts given: ${known}`,
  );
}

function exceeding(host: string, source: string, facts: string): CxmindError {
  return new CxmindError('CONFIG_INVALID', `${source}: ${host} ${facts}`);
}
