import { join, relative } from 'node:path';
import { Config, run, settings } from '@oclif/core';
import { commands } from './commands.ts';
import { failureOf } from './exit-code.ts';
import { packageManifest, packageRoot } from './package-root.ts';
import { refuseUnknown } from './command.ts';
import { complain, guardProcess } from './terminal.ts';

/**
 * Runs the command that `argv` names.
 *
 * @returns the process's exit code; errors are written to stderr
 */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    if (argv[0]?.startsWith('-') === false) refuseUnknown(argv[0], Object.keys(commands));
    await run([...argv], await oclifConfig());
    return 0;
  } catch (thrown) {
    return told(thrown);
  }
}

/** `main` for a process of its own: it outlives its output, and an uncaught error prints no stack. */
export async function runProcess(argv: readonly string[]): Promise<number> {
  guardProcess(told);
  return main(argv);
}

/** Writes a failure to stderr. @returns the exit code */
function told(thrown: unknown): number {
  const { exitCode, text } = failureOf(thrown);
  if (text !== '') complain(text);
  return exitCode;
}

/** The commands as oclif knows them, and where their files lie. */
export async function oclifConfig(): Promise<Config> {
  settings.enableAutoTranspile = false;
  const root = packageRoot();
  const { name, version } = packageManifest();
  const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
  const target = relative(root, join(import.meta.dirname, `commands.${extension}`));
  return Config.load({
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
      },
    },
  });
}
