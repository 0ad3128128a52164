/** The program `cxmind`: from arguments to an exit code by way of oclif, whose settings are here. */
import { join, relative } from 'node:path';
import { Config, run, settings, type Interfaces } from '@oclif/core';
import type { OutputOptions } from './command.ts';
import { commands } from './commands.ts';
import { failureOf } from './exit-code.ts';
import { packageManifest, packageRoot } from './package-root.ts';
import { refuseUnknown } from './command.ts';
import { JsonOutput } from './output/json-output.ts';
import { mannerOf, type Output } from './output/output.ts';
import { TextOutput } from './output/text-output.ts';
import { guardProcess, ownStandardOutput } from './terminal.ts';

/**
 * Runs the command that `argv` names.
 *
 * @param output is told of errors too
 * @returns the process's exit code
 */
export async function main(argv: readonly string[], output: Output): Promise<number> {
  try {
    if (argv[0]?.startsWith('-') === false) refuseUnknown(argv[0], Object.keys(commands));
    const options: OutputOptions = { ...oclifOptions(), output };
    await run([...argv], options);
    return 0;
  } catch (thrown) {
    return told(thrown, output);
  }
}

/** Runs `main` as a whole process, which outlives its output and prints no stack of an uncaught error. */
export async function runProcess(argv: readonly string[]): Promise<number> {
  const { isJson, level } = mannerOf(argv);
  const output = isJson ? new JsonOutput(level, ownStandardOutput()) : new TextOutput(level);
  guardProcess((thrown) => told(thrown, output));
  return main(argv, output);
}

/** Tells of a failure. @returns the exit code */
function told(thrown: unknown, output: Output): number {
  const failure = failureOf(thrown, output.level === 'verbose');
  if (failure.text !== '') output.fail(failure);
  return failure.exitCode;
}

/** The commands as oclif knows them, and where their files lie. */
export function oclifConfig(): Promise<Config> {
  return Config.load(oclifOptions());
}

function oclifOptions(): Interfaces.Options {
  settings.enableAutoTranspile = false;
  const root = packageRoot();
  const { name, version } = packageManifest();
  const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
  const target = relative(root, join(import.meta.dirname, `commands.${extension}`));
  return {
    root,
    ignoreManifest: true,
    pjson: {
      name,
      version,
      oclif: {
        bin: name,
        dirname: name,
        topicSeparator: ' ',
        additionalHelpFlags: ['-h'],
        commands: { strategy: 'explicit', target, identifier: 'commands' },
        helpOptions: {
          docopts: false,
          flagSortOrder: 'none',
          hideCommandSummaryInDescription: true,
          maxWidth: process.stdout.isTTY ? process.stdout.columns : 80,
        },
      },
    },
  };
}
