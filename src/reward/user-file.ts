/** Functions of a user's JavaScript or TypeScript file: rewards and environments. */
import { resolve } from 'node:path';
import { nearestOf } from '../check/nearest.ts';
import type { RewardFile } from '../config/names.ts';
import { asCxmindError, type CxmindError } from '../errors.ts';
import { openToRead } from '../files.ts';
import { importFile } from './import-file.ts';

/** Makes the error for a file that is of no use. */
export type RefuseFile = (
  message: string,
  detail: Readonly<Record<string, unknown>>,
  cause?: unknown,
) => CxmindError;

/** A function that a file exports, and everything else that it does. */
interface ExportedFunction {
  readonly exported: Readonly<Record<string, unknown>>;
  readonly candidate: unknown;
}

/** Checks that a file can be read. @throws what `refuse` makes if it is missing or no regular file */
export async function checkUserFile(path: string, refuse: RefuseFile): Promise<void> {
  try {
    await using _ = await openToRead(path);
  } catch (cause) {
    throw refuse(`${asCxmindError(cause).message}: ${path}`, { file: path }, cause);
  }
}

/**
 * Imports a file, and finds a function that it exports. The path is relative to the working directory.
 *
 * @throws what `refuse` makes for a file that does not load or has no such function
 */
export async function exportedFunction(
  { file, name }: RewardFile,
  refuse: RefuseFile,
): Promise<ExportedFunction> {
  const path = resolve(file);
  await checkUserFile(path, refuse);
  let exported: Record<string, unknown>;
  try {
    exported = await importFile(path);
  } catch (thrown) {
    const { message } = asCxmindError(thrown);
    throw refuse(`${path} does not load: ${message}`, { file: path }, thrown);
  }
  const candidate = exported[name];
  if (typeof candidate === 'function') return { exported, candidate };
  const functions = Object.keys(exported).filter((key) => typeof exported[key] === 'function');
  const nearest = nearestOf(name, functions);
  const meant = nearest === undefined ? '' : `, nearest is '${nearest}'`;
  throw refuse(`${file} exports no function '${name}'${meant}`, { file, function: name });
}
