/** Shells that there is a script for. */
export const shells = ['bash', 'zsh'] as const;
export type Shell = (typeof shells)[number];

/** A command, and the words that may follow it; those that end in `=` want a value behind them. */
export interface CompletedCommand {
  readonly name: string;
  readonly words: readonly string[];
}

/** What either shell does with the words; where none of them fits, a file is meant. */
const parts: Readonly<Record<Shell, string>> = {
  // bash takes what stands around a "=" for words of their own
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
