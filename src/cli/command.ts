/** Base classes of commands, and the errors for unknown commands and flags. */
import { Command, Flags, type Interfaces } from '@oclif/core';
import type { Gather } from '../../transport/launch/cluster.ts';
import { nearestOf } from '../check/nearest.ts';
import { CxmindError } from '../errors.ts';
import type { Output } from './output/output.ts';
import { say } from './terminal.ts';

/** Base of all commands. It makes its lines safe for a terminal, whatever they quote. */
export abstract class CxmindCommand extends Command {
  override log(message = ''): void {
    say(message);
  }

  /** @throws CONFIG_INVALID for unknown flags; any other error as it came */
  protected override catch(error: Interfaces.CommandError): Promise<unknown> {
    const { input, output } = (error as ParseError).parse ?? {};
    const takesConfig = Object.hasOwn(this.ctor.args, 'items');
    refuseUnknownFlags(output?.nonExistentFlags ?? [], input?.flags ?? {}, takesConfig);
    return super.catch(error);
  }
}

/** Options of oclif's config, in which every command finds its output. */
export interface OutputOptions extends Interfaces.Options {
  readonly output: Output;
}

const reportingHelp = 'OUTPUT';

/** A command that reports its progress and its result, in the form and the amount that its flags ask for. */
export abstract class ReportingCommand extends CxmindCommand {
  // `mannerOf` reads them before they are parsed.
  static override baseFlags = {
    json: Flags.boolean({
      description: 'print one JSON object a line, errors too, and nothing else',
      helpGroup: reportingHelp,
    }),
    quiet: Flags.boolean({
      description: 'print warnings, errors and results alone',
      helpGroup: reportingHelp,
      exclusive: ['verbose'],
    }),
    verbose: Flags.boolean({
      description: 'print phases and what they took too',
      helpGroup: reportingHelp,
    }),
  };

  /** Receiver of everything that the command says. */
  protected get output(): Output {
    return (this.config.options as OutputOptions).output;
  }

  override log(message = ''): void {
    this.output.say(message);
  }

  protected override finally(error: Error | undefined): Promise<void> {
    const megabytes = (process.resourceUsage().maxRSS / 1024).toFixed(0);
    this.output.detail(`${process.uptime().toFixed(1)} s, peak memory ${megabytes} MiB`);
    return super.finally(error);
  }
}

/** An error of oclif's parser, with the flags that it knows and those that it does not. */
interface ParseError extends Interfaces.CommandError {
  readonly parse?: {
    readonly input?: { readonly flags: Interfaces.FlagInput };
    readonly output?: { readonly nonExistentFlags: readonly string[] };
  };
}

/** A command that can share its work out among the nodes of a launch. */
export abstract class ClusterCommand extends ReportingCommand {
  /**
   * Runs the command.
   *
   * @param gather brings the nodes together, after every check that needs no nodes; undefined where this process works
   *   alone
   */
  abstract runOn(gather: Gather | undefined): Promise<void>;

  /** The folder of the run's files. Every process of a launch finds it by itself. */
  abstract folder(): Promise<string>;

  run(): Promise<void> {
    return this.runOn(undefined);
  }
}

/** @throws CONFIG_INVALID for a name of no command, with the command that was probably meant */
export function refuseUnknown(name: string, commands: readonly string[]): void {
  if (commands.includes(name)) return;
  const nearest = nearestOf(name, commands);
  const way = nearest === undefined ? '; `cxmind help` lists them' : `, did you mean ${nearest}?`;
  throw new CxmindError('CONFIG_INVALID', `no command ${name}${way}`, { detail: { name } });
}

/** @throws CONFIG_INVALID for unknown flags, each with the flag that was probably meant */
function refuseUnknownFlags(
  given: readonly string[],
  known: Interfaces.FlagInput,
  takesConfig: boolean,
): void {
  if (given.length === 0) return;
  const names = Object.entries(known).flatMap(([name, flag]) =>
    flag.type === 'boolean' && flag.allowNo ? [`--${name}`, `--no-${name}`] : [`--${name}`],
  );
  const lines = given.map((text) => {
    const [name = '', value] = text.split('=');
    if (takesConfig && name === '--config')
      return `no flag --config; a file is given as config=${value ?? 'FILE'}`;
    const nearest = nearestOf(name, names);
    return `no flag ${name}${nearest === undefined ? '; --help lists them' : `, did you mean ${nearest}?`}`;
  });
  throw new CxmindError('CONFIG_INVALID', lines.join('\n'), { detail: { flags: given } });
}
