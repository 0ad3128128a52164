/**
 * Hostfiles in Open MPI's syntax, with comments, rankfile lines and settings. The entries and the parser of a host also
 * serve `host-list.ts`.
 */
import { isIPv6 } from 'node:net';
import { nearestOf } from '../../src/check/nearest.ts';
import { CxmindError, refusalText } from '../../src/errors.ts';
import { readText } from '../../src/files.ts';

/** Entry of a hostfile, which is a line, or of a host list, which is an item. */
export type HostEntry = NamedHost | ExcludedHost | RelativeHost | EmptyHosts;

interface Sourced {
  /** Place of the entry, for messages: `hosts:3`. */
  readonly source: string;
}

interface Sized {
  /** Number of slots, 'cores' for as many as the host has cores, undefined if the entry has none. */
  readonly slots: number | 'cores' | undefined;
  /** Most actors, even if more than slots are allowed. */
  readonly maxSlots: number | undefined;
}

/** Entry of a host by its name or address: `node01 slots=2 max_slots=4`, `alice@node01`, `fe80::1`. */
interface NamedHost extends Sourced, Sized {
  readonly kind: 'named';
  readonly host: string;
  readonly user: string | undefined;
  /** Port of the host's ssh server. */
  readonly port: number | undefined;
}

/** Entry of a host that is not to be used: `^node01`. */
interface ExcludedHost extends Sourced {
  readonly kind: 'excluded';
  readonly host: string;
}

/** Entry of a host by its place in the allocation: `+n2` is the third. */
interface RelativeHost extends Sourced, Sized {
  readonly kind: 'relative';
  readonly index: number;
}

/** Entry of hosts that no other entry names: `+e:2` for two of them, `+e` for all. */
export interface EmptyHosts extends Sourced, Sized {
  readonly kind: 'empty';
  readonly count: number | undefined;
}

/** Longest hostfile: room for a line for each of 100,000 hosts. */
const MAX_BYTES = 1 << 24;

const slotKeys = ['slots', 'cpu', 'count'];
const maxSlotKeys = slotKeys.flatMap((key) => [
  `max_${key}`,
  `max-${key}`,
  `${key}_max`,
  `${key}-max`,
]);
const userKeys = ['username', 'user_name', 'user-name'];
/** Keys that mpirun takes and that have no effect here. */
const topologyKeys = [
  'boards',
  'sockets',
  'sockets_per_board',
  'sockets-per-board',
  'cores',
  'cores_per_socket',
  'cores-per-socket',
  'cpu_set',
  'cpu-set',
];
const keys = [...slotKeys, ...maxSlotKeys, ...userKeys, 'port', ...topologyKeys];

/** Reads a hostfile. @throws CONFIG_INVALID when there is no such file, or with every line that is wrong */
export async function readHostfile(path: string): Promise<HostEntry[]> {
  let text: string;
  try {
    text = await readText(path, MAX_BYTES);
  } catch (cause) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `${path}: cannot read this hostfile: ${refusalText(cause)}`,
      { cause },
    );
  }
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `${path}: more than ${MAX_BYTES} bytes are no hostfile`,
    );
  }
  return parseHostfile(text, path);
}

/**
 * Parses a hostfile in Open MPI's syntax.
 *
 * @param path of the file, for messages
 * @throws CONFIG_INVALID with every line that is wrong
 * @see mpirun(1) and orte_hosts(7) of Open MPI 4.1
 */
export function parseHostfile(text: string, path: string): HostEntry[] {
  const problems: string[] = [];
  const entries: HostEntry[] = [];
  withoutComments(text)
    .split(/\r?\n/)
    .forEach((line, i) => {
      if (line.trim() === '') return;
      const source = `${path}:${i + 1}`;
      try {
        entries.push(parseLine(line, source));
      } catch (error) {
        if (!(error instanceof CxmindError)) throw error;
        problems.push(error.message);
      }
    });
  if (problems.length > 0) throw new CxmindError('CONFIG_INVALID', problems.join('\n'));
  return entries;
}

/** Removes comments: from # or // to the end of the line, or between slashes with stars over any number of lines. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?(?:\*\/|$)|(?:#|\/\/).*/g, (comment) =>
    '\n'.repeat(comment.split('\n').length - 1),
  );
}

function parseLine(line: string, source: string): HostEntry {
  const rankfile = /^\s*rank\s+\d+\s*=\s*(\S+)/.exec(line);
  // A line of a rankfile is one slot on that host. The rank and the core in it are ignored.
  if (rankfile !== null) return parseHost(rankfile[1]!, source);
  const [, name, rest] = /^\s*(\S+)(.*)$/.exec(line)!;
  return withSettings(parseHost(name!, source), settingsOf(rest!, source));
}

/**
 * Parses one host as a hostfile and `--host` name it: a name, or an address with or without brackets, either with
 * `user@` before it, or one of the relative forms.
 *
 * @throws CONFIG_INVALID for anything else
 */
export function parseHost(text: string, source: string): HostEntry {
  const sized = { slots: undefined, maxSlots: undefined };
  const relative = /^\+(?:[nN](\d+)|[eE](?::(\d+))?)$/.exec(text);
  if (relative?.[1] !== undefined) {
    return { kind: 'relative', index: Number(relative[1]), source, ...sized };
  }
  if (relative !== null) {
    const count = relative[2] === undefined ? undefined : Number(relative[2]);
    return { kind: 'empty', count, source, ...sized };
  }
  if (text.startsWith('+')) {
    throw invalid(
      source,
      `${text}: relative hosts are +n0, +n1, ... , and +e or +e:2 for empty ones`,
    );
  }
  if (text.startsWith('^'))
    return { kind: 'excluded', host: hostName(text.slice(1), source), source };
  const [, user, host] = /^(?:([^@]*)@)?(.*)$/.exec(text)!;
  const named = { kind: 'named', host: hostName(host!, source), port: undefined, source } as const;
  return { ...named, user: user === undefined ? undefined : userName(user, source), ...sized };
}

function userName(text: string, source: string): string {
  if (!/^\w[\w.-]*$/.test(text)) throw invalid(source, `'${text}' is no user name`);
  return text;
}

/** Checks the name or the address of a host, and takes off the brackets. */
function hostName(text: string, source: string): string {
  const address = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  if (isIPv6(address)) return address;
  if (/^\w([\w.-]*\w)?$/.test(text)) return text;
  const [, name, slots] = /^([\w.-]+):(\d+)$/.exec(text) ?? [];
  const wayOut = slots === undefined ? '' : `; slots are written '${name} slots=${slots}'`;
  throw invalid(source, `${text}: neither a host name nor an address${wayOut}`);
}

/** Parses the `key=value` behind a host. Blanks may stand around the sign, and quotes around a word. */
function settingsOf(text: string, source: string): [key: string, value: string][] {
  const settings: [string, string][] = [];
  let rest = text.trim();
  while (rest !== '') {
    const [all, key, quoted, bare] =
      /^([^\s=]+)\s*=\s*(?:"([^"]*)"|([^\s="]+))(?=\s|$)/.exec(rest) ?? [];
    if (all === undefined) {
      const [word] = rest.split(/[\s=]/);
      const isKey = keys.includes(word!);
      throw invalid(
        source,
        isKey
          ? `${word} lacks its value, as in ${word}=2`
          : `${rest}: expected key=value, as in slots=2`,
      );
    }
    if (!keys.includes(key!)) {
      throw invalid(source, `${key}: unknown, did you mean ${nearestOf(key!, keys)}?`);
    }
    settings.push([key!, quoted ?? bare!]);
    rest = rest.slice(all.length).trim();
  }
  return settings;
}

function withSettings(entry: HostEntry, settings: readonly [string, string][]): HostEntry {
  if (settings.length === 0) return entry;
  const { source } = entry;
  if (entry.kind === 'excluded') throw invalid(source, 'a host that is excluded has no settings');
  let { slots, maxSlots } = entry;
  let connection: { user?: string; port?: number } = {};
  for (const [key, value] of settings) {
    if (slotKeys.includes(key))
      slots = (slots === undefined ? 0 : Number(slots)) + count(key, value, source);
    else if (maxSlotKeys.includes(key)) maxSlots = count(key, value, source);
    else if (userKeys.includes(key)) connection = { ...connection, user: userName(value, source) };
    else if (key === 'port') connection = { ...connection, port: count(key, value, source) };
  }
  if (slots !== undefined && maxSlots !== undefined && maxSlots < Number(slots)) {
    throw invalid(source, `max_slots=${maxSlots} is less than slots=${slots}`);
  }
  if (entry.kind !== 'named') return { ...entry, slots, maxSlots };
  return { ...entry, ...connection, slots, maxSlots };
}

function count(key: string, value: string, source: string): number {
  if (!/^\d{1,9}$/.test(value)) throw invalid(source, `${key}=${value}: expected a whole number`);
  return Number(value);
}

function invalid(source: string, message: string): CxmindError {
  return new CxmindError('CONFIG_INVALID', `${source}: ${message}`);
}
