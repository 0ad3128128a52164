import { Flags } from '@oclif/core';
import type { Finding } from '../doctor/finding.ts';
import type { Machine } from '../doctor/machine.ts';
import { CxmindCommand } from './command.ts';
import { pathFlag } from './flags.ts';
import { print } from './terminal.ts';

export class Doctor extends CxmindCommand {
  static override summary = 'Say what this machine has and lacks, and how to mend it.';
  static override description =
    'Each finding is `ok`, `worth knowing` for some runs, or `broken`, with the command that mends it. The exit ' +
    'code is 1 where something is broken. No other machine is asked but with --hostfile and --online.';
  static override examples = [
    '<%= config.bin %> doctor',
    '<%= config.bin %> doctor --hostfile hosts --online',
  ];
  static override flags = {
    hostfile: pathFlag({
      description: 'ask the hosts of this file, as `launch` takes it, for version and clock too',
    }),
    'ssh-option': Flags.string({
      description: 'as `ssh -o` takes it; may be given several times',
      multiple: true,
      multipleNonGreedy: true,
      default: [],
    }),
    online: Flags.boolean({ description: 'ask the hub too whether it answers' }),
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
    const machine = thisMachine(openPart);
    const { hostfile, online, 'ssh-option': sshOptions } = flags;
    const found = await Promise.all([
      examine(machine),
      hostfile === undefined ? [] : hostFindings(hostfile, sshOptions),
      online ? hubFindings(machine) : [],
    ]);
    const findings = found.flat();
    for (const finding of findings) {
      await print(flags.json ? JSON.stringify(finding) : reportOf(finding));
    }
    if (findings.some(({ verdict }) => verdict === 'broken')) this.exit(1);
  }
}

async function hubFindings(machine: Machine): Promise<Finding[]> {
  const { checkHub } = await import('../doctor/hub.ts');
  const { hubSettings } = await import('../hub/settings.ts');
  const { askHub } = await import('./ask-hub.ts');
  return checkHub(hubSettings(), machine, askHub);
}

async function hostFindings(hostfile: string, sshOptions: readonly string[]): Promise<Finding[]> {
  const { askHosts } = await import('./ask-hosts.ts');
  return askHosts(hostfile, sshOptions);
}
