/** Findings as lines of at most 80 columns. A command stands alone, so that it can be copied. */
import type { Finding } from './finding.ts';

const COLUMNS = 80;
const VERDICT = 'worth knowing  '.length;
const CHECK = 'CUDA provider  '.length;

/** A finding as one or more lines of text. */
export function reportOf({ verdict, check, says, mend }: Finding): string {
  const indent = ' '.repeat(VERDICT + CHECK);
  const name = check.length < CHECK ? check.padEnd(CHECK) : `${check}\n${indent}`;
  const lines = wrapped(says.split(/\s+/), COLUMNS - indent.length).join(`\n${indent}`);
  const told = `${verdict.padEnd(VERDICT)}${name}${lines}`;
  if (mend === undefined) return told;
  const margin = ' '.repeat(VERDICT);
  // A word is what stands between blanks; a command goes on behind a backslash.
  const command = wrapped(mend.split(' '), COLUMNS - VERDICT - '$ '.length - ' \\'.length);
  return `${told}\n${margin}$ ${command.join(` \\\n${margin}  `)}`;
}

/** Puts words on lines of some columns. A longer word has a line of its own. */
function wrapped(words: readonly string[], columns: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= columns) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines;
}
