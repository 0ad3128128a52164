/** Identity of a process of a launch. */
export interface Identity {
  readonly host: string;
  readonly rank: number;
  readonly slots: number;
}

/** Name of a process on its link, by which the leading one knows it: `1 4 node02`. */
export function nameOf({ host, rank, slots }: Identity): string {
  return `${rank} ${slots} ${host}`;
}

/** Identity of the process with that name; undefined for a name that is none of a launch. */
export function identityOf(name: string): Identity | undefined {
  const [, rank, slots, host] = /^(\d{1,9}) (\d{1,9}) ([^\s@]{1,200})$/.exec(name) ?? [];
  return host === undefined ? undefined : { host, rank: Number(rank), slots: Number(slots) };
}
