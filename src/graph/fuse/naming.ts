import { hash } from 'node:crypto';
import type { OpName } from '../ops/table.ts';
import type { Region } from './region.ts';

/** Most ops in a name. */
const MOST_OPS = 4;
/** Ops that a name leaves out, as they say little about a kernel. */
const unnamed: ReadonlySet<OpName> = new Set<OpName>(['cast', 'expand', 'size']);

/**
 * Names a region's kernel, and writes its source under that name.
 *
 * The name has the region's ops and a digest of the source, so that equal names mean equal sources.
 */
export function named(
  { nodes }: Region,
  write: (entry: string) => string,
): { entry: string; source: string } {
  const ops = new Set(nodes.map(({ op }) => op).filter((op) => !unnamed.has(op)));
  const said = ops.size === 0 ? nodes.slice(0, 1).map(({ op }) => op) : [...ops].slice(0, MOST_OPS);
  const digest = hash('sha256', write('kernel')).slice(0, 8);
  const entry = [...said, digest].join('_');
  return { entry, source: indented(write(entry)) };
}

/** Indents C by its braces, and drops empty lines. */
function indented(text: string): string {
  let depth = 0;
  const lines = text.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      if (line.startsWith('}')) depth--;
      const written = '  '.repeat(line.startsWith('#') ? 0 : depth) + line;
      if (line.endsWith('{')) depth++;
      return written;
    })
    .join('\n')
    .concat('\n');
}
