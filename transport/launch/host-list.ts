import { isIPv6 } from 'node:net';
import { CxmindError } from '../../src/errors.ts';
import { parseHost, type HostEntry } from './hostfile.ts';

/**
 * Parses a host list as on mpirun's command line: `node01,node02:4,[fe80::1]:2,+n0`.
 *
 * `:4` is a number of slots, and `:*` means as many as the host has cores.
 *
 * @param source the option that the list was given with, for messages
 * @throws CONFIG_INVALID naming the item that is wrong
 */
export function parseHostList(text: string, source: string): HostEntry[] {
  return text.split(',').map((item) => parseItem(item.trim(), source));
}

function parseItem(item: string, source: string): HostEntry {
  const [host, slots] = withoutSlots(item);
  const entry = parseHost(host, source);
  if (slots === undefined) return entry;
  if (entry.kind === 'excluded' || (slots !== '*' && !/^\d{1,9}$/.test(slots))) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `${source}: ${item}: expected HOST:SLOTS, as in node01:2`,
    );
  }
  return { ...entry, slots: slots === '*' ? 'cores' : Number(slots) };
}

/** Host and slots of an item. The colons of an address and of `+e:2` belong to the host. */
function withoutSlots(item: string): [host: string, slots: string | undefined] {
  if (isIPv6(item) || /^\+[eE](:\d+)?$/.test(item)) return [item, undefined];
  const colon = item.lastIndexOf(':');
  if (colon < 0 || item.endsWith(']')) return [item, undefined];
  return [item.slice(0, colon), item.slice(colon + 1)];
}
