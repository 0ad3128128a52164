/** Functions of a user's JavaScript or TypeScript file: rewards and environments. */
import { resolve } from 'node:path';
import { nearestOf } from '../check/nearest.ts';
import type { RewardFile } from '../config/names.ts';
import { asCxmindError, CxmindError, type ErrorCode } from '../errors.ts';
import { openToRead } from '../files.ts';
import { importFile } from './import-file.ts';

/** Kind of a user's code, by which errors about it are made. */
export interface CodeKind {
  /** Name of the kind: `reward function`. */
  readonly kind: string;
  readonly code: ErrorCode;
}

/** Function that a file exports, and the file's other exports. */
interface ExportedFunction {
  readonly exported: Readonly<Record<string, unknown>>;
  readonly candidate: unknown;
}

/** Checks that a file can be read. @throws the code of its kind if it is missing or no regular file */
export async function checkUserFile(file: string, { kind, code }: CodeKind): Promise<void> {
  try {
    await using _ = await openToRead(file);
  } catch (cause) {
    const message = `${kind}: ${asCxmindError(cause).message}: ${file}`;
    throw new CxmindError(code, message, { detail: { file }, cause });
  }
}

/**
 * Imports a file, and finds a function that it exports. The path is relative to the working directory.
 *
 * @throws the code of its kind for a file that does not load or has no such function
 */
export async function exportedFunction(
  { file, name }: RewardFile,
  use: CodeKind,
): Promise<ExportedFunction> {
  const path = resolve(file);
  await checkUserFile(path, use);
  const { kind, code } = use;
  let exported: Record<string, unknown>;
  try {
    exported = await importFile(path);
  } catch (thrown) {
    const message = `${kind}: ${path} does not load: ${asCxmindError(thrown).message}`;
    throw new CxmindError(code, message, { detail: { file: path }, cause: thrown });
  }
  const candidate = exported[name];
  if (typeof candidate === 'function') return { exported, candidate };
  const functions = Object.keys(exported).filter((key) => typeof exported[key] === 'function');
  const nearest = nearestOf(name, functions);
  const meant = nearest === undefined ? '' : `, nearest is '${nearest}'`;
  throw new CxmindError(code, `${kind}: ${file} exports no function '${name}'${meant}`, {
    detail: { file, function: name },
  });
}
