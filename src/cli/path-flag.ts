import { Args, Flags } from '@oclif/core';
import { localPath } from '../files.ts';

const parse = (name: string): Promise<string> => Promise.resolve(localPath(name));

/** A flag that names a file or folder of this machine, as `localPath` reads it. */
export const pathFlag = Flags.custom({ parse });

/** An argument that does. */
export const pathArg = Args.custom({ parse });
