import { Flags } from '@oclif/core';
import { CxmindCommand } from './command.ts';
import { print } from './terminal.ts';

export class Doctor extends CxmindCommand {
  static override summary = 'Say what this machine has and lacks, and how to mend it.';
  static override description =
    'Each finding is `ok`, `worth knowing` for some runs, or `broken`, with the command that mends it. The exit ' +
    'code is 1 where something is broken.';
  static override examples = ['<%= config.bin %> doctor'];
  static override flags = {
    json: Flags.boolean({
      description: 'print a line {"check", "verdict", "says", "mend"?} for each finding',
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Doctor);
    const { examine } = await import('../doctor/checks.ts');
    const { reportOf } = await import('../doctor/report.ts');
    const { thisMachine } = await import('../doctor/this-machine.ts');
    const { openPart } = await import('./open-part.ts');
    const findings = await examine(thisMachine(openPart));
    for (const finding of findings) {
      await print(flags.json ? JSON.stringify(finding) : reportOf(finding));
    }
    if (findings.some(({ verdict }) => verdict === 'broken')) this.exit(1);
  }
}
