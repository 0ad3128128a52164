import { CxmindError } from '../../src/errors.ts';

/** What a node has to give to actors. */
export interface Resources {
  /** Actors with one claim each that it may host: cores, as a rule. */
  readonly slots: number;
  /** Names of its devices, as in `cuda:0`. */
  readonly devices: readonly string[];
}

/** What an actor needs of a node. */
export interface Claims {
  readonly slots: number;
  /** How many devices it needs for itself. */
  readonly devices: number;
}

/** Claims that were met: what the actor has until it is released. */
export interface Allocation {
  readonly node: string;
  readonly slots: number;
  /** The names of its devices. */
  readonly devices: readonly string[];
}

/** Which of the nodes with room gets an actor: the one with the smallest share taken, or with the largest. */
export type PlacementStrategy = 'spread' | 'pack';

interface Member {
  readonly node: string;
  readonly resources: Resources;
  readonly taken: Set<Allocation>;
}

/** The nodes over which a kind of work is spread, and who has claimed what of them. */
export class ResourcePool {
  readonly name: string;
  readonly #strategy: PlacementStrategy;
  readonly #members = new Map<string, Member>();

  constructor(name: string, strategy: PlacementStrategy = 'spread') {
    this.name = name;
    this.#strategy = strategy;
  }

  add(node: string, resources: Resources): void {
    this.#members.set(node, { node, resources, taken: new Set() });
  }

  /** The node is gone, and every allocation on it with it. */
  remove(node: string): void {
    this.#members.delete(node);
  }

  /** Meets the claims on a node of the pool, or on that one; undefined while there is no room. */
  take(claims: Claims, only?: string): Allocation | undefined {
    let best: Member | undefined;
    for (const member of this.#members.values()) {
      if ((only !== undefined && member.node !== only) || !fits(claims, member)) continue;
      if (best === undefined || this.#isBetter(member, best)) best = member;
    }
    if (best === undefined) return undefined;
    const { slots, devices } = claims;
    const chosen = freeDevices(best).slice(0, devices);
    const allocation: Allocation = { node: best.node, slots, devices: chosen };
    best.taken.add(allocation);
    return allocation;
  }

  release(allocation: Allocation): void {
    this.#members.get(allocation.node)?.taken.delete(allocation);
  }

  /** The error of claims that are not met: what was wanted, and what each node has free. */
  shortage(actor: string, claims: Claims, only?: string): CxmindError {
    const members = [...this.#members.values()].filter(({ node }) => (only ?? node) === node);
    const wanted = amount(claims.slots, claims.devices);
    const free = members.map((member) => {
      const { slots, devices } = member.resources;
      const left = amount(freeSlots(member), freeDevices(member).length);
      return `${member.node} has ${left} free of ${amount(slots, devices.length)}`;
    });
    const where = only === undefined ? `no node of pool ${this.name}` : `not node ${only}`;
    const facts = free.length === 0 ? 'there is no such node' : free.join('; ');
    return new CxmindError(
      'PLACEMENT_FAILED',
      `${actor} wants ${wanted}, and ${where} has room: ${facts}`,
      { detail: { actor, claims, free } },
    );
  }

  #isBetter(one: Member, other: Member): boolean {
    const difference = loadOf(one) - loadOf(other) || one.taken.size - other.taken.size;
    return this.#strategy === 'spread' ? difference < 0 : difference > 0;
  }
}

function fits({ slots, devices }: Claims, member: Member): boolean {
  return slots <= freeSlots(member) && devices <= freeDevices(member).length;
}

function freeSlots({ resources, taken }: Member): number {
  return [...taken].reduce((free, { slots }) => free - slots, resources.slots);
}

function freeDevices({ resources, taken }: Member): string[] {
  const used = new Set([...taken].flatMap(({ devices }) => devices));
  return resources.devices.filter((device) => !used.has(device));
}

/** The larger of the shares of slots and devices that are taken. */
function loadOf(member: Member): number {
  const { slots, devices } = member.resources;
  const share = (free: number, all: number): number => (all === 0 ? 0 : 1 - free / all);
  return Math.max(
    share(freeSlots(member), slots),
    share(freeDevices(member).length, devices.length),
  );
}

function amount(slots: number, devices: number): string {
  return `${slots} slots and ${devices} devices`;
}
