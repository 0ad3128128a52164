/** Who a process of a launch is. */
export interface Identity {
  readonly host: string;
  readonly rank: number;
  readonly slots: number;
}

/** What a process calls itself on its link, so that the leading one knows it: `1 4 node02`. */
export function nameOf({ host, rank, slots }: Identity): string {
  return `${rank} ${slots} ${host}`;
}

/** The process of that name; undefined for a name that is none of a launch. */
export function identityOf(name: string): Identity | undefined {
  const [, rank, slots, host] = /^(\d{1,9}) (\d{1,9}) ([^\s@]{1,200})$/.exec(name) ?? [];
  return host === undefined ? undefined : { host, rank: Number(rank), slots: Number(slots) };
}
