/** Amounts of work, of which a machine's time is made. */

/** The kinds of work, and what each counts. */
const workKinds = {
  programs: 'runs of programs that the host queues',
  nodes: 'operators and kernels that programs run',
  recorded: 'kernels that recordings run, which the host does not queue one by one',
  products: 'floating-point operations of products of matrices',
  batched: 'floating-point operations of products of many small matrices: attention',
  operands: 'bytes that products read and write',
  moved: 'bytes that all other operators read and write',
  exponentials: 'elements of exponential functions',
  scalars: 'numbers that JavaScript goes through one by one',
  exchanged: 'bytes that a learner exchanges with the others',
  copied: "bytes that are copied between the host's memory and a card's",
} as const;

type WorkKind = keyof typeof workKinds;

/** An amount of each kind of work. */
export type Work = Readonly<Record<WorkKind, number>>;

const kinds = Object.keys(workKinds) as WorkKind[];

/** The work that has these amounts, and none of the other kinds. */
export function workOf(amounts: Partial<Work>): Work {
  return byKind((kind) => amounts[kind] ?? 0);
}

export const noWork = workOf({});

/** The sum of works. */
export function sumOf(works: readonly Work[]): Work {
  return works.reduce((sum, work) => byKind((kind) => sum[kind] + work[kind]), noWork);
}

/** A work done `times` times. */
export function timesWork(work: Work, times: number): Work {
  return byKind((kind) => work[kind] * times);
}

/** The sum over all kinds of work of the amount times a factor. */
export function weighed(work: Work, factors: Partial<Work>): number {
  return kinds.reduce((sum, kind) => sum + work[kind] * (factors[kind] ?? 0), 0);
}

/** The work whose amount of each kind a function tells. */
export function byKind(amountOf: (kind: WorkKind) => number): Work {
  return Object.fromEntries(kinds.map((kind) => [kind, amountOf(kind)])) as Work;
}
