import { Flags } from '@oclif/core';
import { ReportingCommand } from '../command.ts';
import { pathFlag, sshOptionFlag } from '../flags.ts';
import type { Paint } from '../output/style.ts';

export class Doctor extends ReportingCommand {
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
    'ssh-option': sshOptionFlag,
    online: Flags.boolean({ description: 'ask the hub too whether it answers' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Doctor);
    const { examine } = await import('../../doctor/checks.ts');
    const { reportOf } = await import('../../doctor/report.ts');
    const { thisMachine } = await import('../../doctor/this-machine.ts');
    const { checkHub } = await import('../../doctor/hub.ts');
    const { hubSettings } = await import('../../hub/settings.ts');
    const { askHosts } = await import('../ask-hosts.ts');
    const { askHub } = await import('../ask-hub.ts');
    const { openPart } = await import('../open-part.ts');
    const machine = thisMachine(openPart);
    const { hostfile, online, 'ssh-option': sshOptions = [] } = flags;
    const found = await Promise.all([
      examine(machine),
      hostfile === undefined ? [] : askHosts(hostfile, sshOptions),
      online ? checkHub(hubSettings(), machine, askHub) : [],
    ]);
    const findings = found.flat();
    for (const finding of findings) {
      if (finding.verdict === 'ok' && flags.quiet) continue;
      await this.output.tell({ event: 'finding', ...finding }, reportOf(finding), paintFinding);
    }
    const broken = findings.filter(({ verdict }) => verdict === 'broken').length;
    const facts = { findings: findings.length, broken };
    await this.output.tell({ event: 'result', command: 'doctor', ...facts }, '');
    if (broken > 0) this.exit(1);
  }
}

/** The verdict in its colour, and the command that mends it. */
const paintFinding: Paint = (text, { good, doubtful, bad, strong }) =>
  text
    .replace(/^ok/, good)
    .replace(/^worth knowing/, doubtful)
    .replace(/^broken/, bad)
    .replace(/(?<=\n {15}\$ )[^]*/, strong);
