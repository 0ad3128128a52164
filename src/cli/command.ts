import { Command, type Interfaces } from '@oclif/core';
import { refuseUnknownFlags } from './refuse-unknown.ts';
import { say } from './terminal.ts';

/** A command whose lines for people do nothing to their terminal, whatever they quote. */
export abstract class CxmindCommand extends Command {
  override log(message = ''): void {
    say(message);
  }

  /** @throws CONFIG_INVALID for flags that there are not, else what it is given */
  protected override catch(error: Interfaces.CommandError): Promise<unknown> {
    const { input, output } = (error as Misuse).parse ?? {};
    refuseUnknownFlags(output?.nonExistentFlags ?? [], input?.flags ?? {});
    return super.catch(error);
  }
}

/** An error of oclif's parser: what it was to read, and what it read. */
interface Misuse extends Interfaces.CommandError {
  readonly parse?: {
    readonly input?: { readonly flags: Interfaces.FlagInput };
    readonly output?: { readonly nonExistentFlags: readonly string[] };
  };
}
