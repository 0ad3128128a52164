import { Args, type Command } from '@oclif/core';
import { schemaKeys } from '../../check/codec.ts';
import { Config } from '../../config/schema.ts';
import { CxmindCommand } from '../command.ts';
import { print } from '../terminal.ts';

const shells = ['bash', 'zsh'] as const;
/** A shell that has a script. */
export type Shell = (typeof shells)[number];

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

/** A command, and the words that may follow it; those that end in `=` want a value behind them. */
export interface CompletedCommand {
  readonly name: string;
  readonly words: readonly string[];
}

/** The part of either script that offers the words. Where none of them fits, the shell completes files. */
const parts: Readonly<Record<Shell, string>> = {
  // bash splits words at a "=".
  bash: `_cxmind() {
  local words
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then words=$(_cxmind_words)
  elif [[ \${COMP_WORDS[COMP_CWORD - 1]} != = ]]; then words=$(_cxmind_words "\${COMP_WORDS[1]}")
  fi
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
  if [[ \${COMPREPLY-} == *= ]]; then compopt -o nospace; fi
}
complete -o default -F _cxmind cxmind`,
  zsh: `_cxmind() {
  local -a all
  if ((CURRENT == 2)); then compadd -- $(_cxmind_words)
  elif compset -P '*='; then _files
  else
    all=($(_cxmind_words $words[2]))
    compadd -- \${all:#*=}
    compadd -S '' -- \${(M)all:#*=}
    _files
  fi
}
compdef _cxmind cxmind`,
};

/** The script that completes `cxmind` in a shell: commands, their flags, and keys of the config where they take these. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[]): string {
  const cases = commands.map(({ name, words }) => `    ${name}) echo '${words.join(' ')}' ;;`);
  return [
    '_cxmind_words() {',
    '  case ${1-} in',
    `    '') echo '${commands.map(({ name }) => name).join(' ')}' ;;`,
    ...cases,
    '  esac',
    '}',
    parts[shell],
  ].join('\n');
}
