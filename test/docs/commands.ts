/** The reference of all commands in Markdown, made from the commands' own statics. */
import type { Command } from '@oclif/core';
import { oclifConfig } from '../../src/cli/main.ts';

type Flag = Command.Flag.Cached;
type Arg = Command.Arg.Cached;

/** Every command: a table of them all, then a section each with its usage, arguments, flags, defaults and examples. */
export async function commandReference(): Promise<string> {
  const { commands } = await oclifConfig();
  const sorted = [...commands].sort((a, b) => (a.id < b.id ? -1 : 1));
  const index = [
    '| command | does |',
    '| --- | --- |',
    ...sorted.map(({ id, summary = '' }) => `| [\`${id}\`](#${id}) | ${cell(summary)} |`),
  ];
  return [index.join('\n'), ...sorted.map(sectionOf)].join('\n\n');
}

function sectionOf(command: Command.Loadable): string {
  const { id, summary = '', description } = command;
  const said = [summary, description ?? ''].map(prose);
  const parts = [`### ${id}`, ...said, `\`cxmind ${usageOf(command)}\``, optionsOf(command)];
  return [...parts, examplesOf(command)].filter((part) => part !== '').join('\n\n');
}

/** Usage of a command: its own text, or its name and its arguments. */
function usageOf({ id, usage, args, flags }: Command.Loadable): string {
  if (usage !== undefined) return String(usage);
  const named = Object.values(args).map(({ name, required }) =>
    required === true ? name.toUpperCase() : `[${name.toUpperCase()}]`,
  );
  const optional = shown(flags).length > 0 ? ['[FLAGS]'] : [];
  return [id, ...named, ...optional].join(' ');
}

function optionsOf({ args, flags }: Command.Loadable): string {
  const rows = [
    ...Object.values(args).map((arg) => rowOf(`\`${arg.name.toUpperCase()}\``, arg)),
    ...shown(flags).map((flag) => rowOf(nameOf(flag), flag)),
  ];
  if (rows.length === 0) return '';
  return ['| flag or argument | does | default |', '| --- | --- | --- |', ...rows].join('\n');
}

function shown(flags: Command.Loadable['flags']): Flag[] {
  return Object.values(flags).filter(({ hidden }) => hidden !== true);
}

/** The form of a flag on the command line. */
function nameOf(flag: Flag): string {
  const long = flag.type === 'boolean' && flag.allowNo ? `--[no-]${flag.name}` : `--${flag.name}`;
  const value = flag.type === 'boolean' ? '' : ` ${String(flag.helpValue ?? 'VALUE')}`;
  return `${flag.char === undefined ? '' : `\`-${flag.char}\`, `}\`${long}${value}\``;
}

function rowOf(name: string, option: Flag | Arg): string {
  const { description = '', required } = option;
  const options = 'options' in option ? option.options : undefined;
  const choices = options === undefined ? '' : `: ${options.map((one) => `\`${one}\``).join(', ')}`;
  const usual = required === true ? 'must be given' : defaultOf(option);
  return `| ${name} | ${cell(description)}${choices} | ${usual} |`;
}

function defaultOf({ default: value }: Flag | Arg): string {
  const isNone = value === undefined || value === false || String(value) === '';
  return isNone ? '' : `\`${cell(String(value))}\``;
}

function examplesOf({ examples = [] }: Command.Loadable): string {
  if (examples.length === 0) return '';
  const lines = examples.map((one) => (typeof one === 'string' ? one : one.command));
  const calls = lines.map((line) => line.replaceAll('<%= config.bin %>', 'npx cxmind'));
  return `\`\`\`sh\n${calls.join('\n')}\n\`\`\``;
}

/** Text with its angle brackets escaped, so that they are not read as HTML. */
function prose(text: string): string {
  return text.replace(/`[^`]*`|</g, (found) => (found === '<' ? '\\<' : found));
}

/** Text that may stand in a cell of a table. */
function cell(text: string): string {
  return prose(text).replaceAll('|', '\\|');
}
