import { Command } from '@oclif/core';
import { say } from './terminal.ts';

/** A command whose lines for people do nothing to their terminal, whatever they quote. */
export abstract class CxmindCommand extends Command {
  override log(message = ''): void {
    say(message);
  }
}
