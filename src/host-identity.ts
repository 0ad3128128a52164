/** The running kernel and the namespace of process ids, by which processes tell whether they share a host. */
import { readFileSync, readlinkSync } from 'node:fs';
import { attempt } from './errors.ts';

/** Id of the running kernel, new with every boot; null where it has none. */
export function bootId(): string | null {
  return attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
}

/** Namespace in which this process's id counts; null where the system has none. */
export function pidNamespace(): string | null {
  return attempt(() => readlinkSync('/proc/self/ns/pid'));
}
