import { execFile, type ExecFileException } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Opened, Part } from '../doctor/machine.ts';

/** Longest wait for a part. The first card of a machine that slept takes seconds. */
const OPENING_MS = 60_000;

/** Opens a part of this machine in another process, which may end without harm to this one. */
export function openPart(part: Part): Promise<Opened> {
  const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
  const entry = join(import.meta.dirname, `part-entry.${extension}`);
  const asked = promisify(execFile)(process.execPath, [entry, part], { timeout: OPENING_MS });
  return asked.then(
    // A driver may print lines of its own before.
    ({ stdout }) => JSON.parse(stdout.trim().split('\n').at(-1)!) as Opened,
    (error: unknown) => ({ works: false, reason: failureOf(error as ExecFileException) }),
  );
}

function failureOf({ signal, code, killed }: ExecFileException): string {
  if (killed === true) return `opening it took over ${OPENING_MS / 1000} seconds`;
  return `opening it ended the process (${signal ?? `exit code ${code ?? 'unknown'}`})`;
}
