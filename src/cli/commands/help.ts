import { Args, Help } from '@oclif/core';
import { CxmindCommand, refuseUnknown } from '../command.ts';

export class HelpCommand extends CxmindCommand {
  static override summary = 'Explain a command, or list them all.';
  static override examples = ['<%= config.bin %> help train'];
  static override args = { command: Args.string({ description: 'what to explain' }) };

  async run(): Promise<void> {
    const { command } = (await this.parse(HelpCommand)).args;
    if (command !== undefined) refuseUnknown(command, this.config.commandIDs);
    await new Help(this.config).showHelp(command === undefined ? [] : [command]);
  }
}
