/** Findings of checks: words, one of three verdicts, and the command that mends. */

/** Verdict on a checked thing. */
export type Verdict = 'ok' | 'worth knowing' | 'broken';

/** One line of the report. */
export interface Finding {
  /** Name of the checked thing: `open files`. */
  readonly check: string;
  readonly verdict: Verdict;
  readonly says: string;
  /** Shell command that mends it, or shows how; whatever is broken has one. */
  readonly mend?: string;
}

/** A finding of a thing that is as it should be. */
export function ok(check: string, says: string): Finding {
  return { check, verdict: 'ok', says };
}

/** A finding of a thing that some runs want otherwise. */
export function worthKnowing(check: string, says: string, mend?: string): Finding {
  return { check, verdict: 'worth knowing', says, ...(mend !== undefined && { mend }) };
}

/** A finding of a thing without which runs fail. */
export function broken(check: string, says: string, mend: string): Finding {
  return { check, verdict: 'broken', says, mend };
}

/** Least amounts of something: below one runs fail, below the other some may. */
export interface Bounds {
  readonly broken: number;
  readonly scarce: number;
}

/** A finding about an amount of which there may be too little. */
export function enough(
  check: string,
  amount: number,
  bounds: Bounds,
  words: { readonly says: string; readonly mend: string },
): Finding {
  if (amount < bounds.broken) return broken(check, words.says, words.mend);
  if (amount < bounds.scarce) return worthKnowing(check, words.says, words.mend);
  return ok(check, words.says);
}
