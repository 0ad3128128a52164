import { Args, type Command } from '@oclif/core';
import { schemaKeys } from '../config/codec.ts';
import { Config } from '../config/schema.ts';
import { CxmindCommand } from './command.ts';
import {
  completionScript,
  shells,
  type CompletedCommand,
  type Shell,
} from './completion-script.ts';
import { print } from './terminal.ts';

export class Completion extends CxmindCommand {
  static override summary = 'Print what completes commands, flags and keys in a shell.';
  static override examples = ['source <(<%= config.bin %> completion bash)'];
  static override args = {
    shell: Args.string({ description: 'the shell', options: [...shells], required: true }),
  };

  async run(): Promise<void> {
    const { shell } = (await this.parse(Completion)).args;
    await print(completionScript(shell as Shell, this.config.commands.map(completed)));
  }
}

function completed({ id, flags, args }: Command.Loadable): CompletedCommand {
  const names = Object.entries(flags).flatMap(([name, flag]) =>
    flag.type === 'boolean' && flag.allowNo ? [name, `no-${name}`] : [name],
  );
  const values = Object.values(args).flatMap((arg): readonly string[] => arg.options ?? []);
  const words = [...values, ...[...names, 'help'].map((name) => `--${name}`)];
  return { name: id, words: 'items' in args ? [...words, 'config=', ...keys()] : words };
}

/** Keys that take a value on the command line. */
function keys(): string[] {
  return schemaKeys(Config).flatMap(({ path, isSection }) =>
    isSection || path.includes('[') ? [] : [`${path}=`],
  );
}
