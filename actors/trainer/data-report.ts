import type { DataSummary } from '../data/protocol.ts';
import type { Reporter } from './reporter.ts';

/** Says how much data there is, what was left out of it, and what is odd about it. */
export function reportData(summary: DataSummary, reporter: Reporter): void {
  const { trainPrompts, validationPrompts, overlong, skipped, notes } = summary;
  reporter.note(
    `${trainPrompts} training prompts, ${validationPrompts} for validation` +
      (overlong > 0 ? `, ${overlong} too long and left out` : '') +
      (skipped > 0 ? `, ${skipped} invalid and skipped` : ''),
  );
  warnOfData(notes, reporter);
}

/** Shows what there is to say about data. */
export function warnOfData(notes: readonly string[], reporter: Reporter): void {
  for (const note of notes) reporter.note(`warning: ${note}`);
}
