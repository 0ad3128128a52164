import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Flags } from '@oclif/core';
import { CxmindError } from '../../errors.ts';
import { localPath } from '../../files.ts';
import { ReportingCommand } from '../command.ts';
import { failureOf } from '../exit-code.ts';
import { listenFlags } from '../flags.ts';
import { interruptible } from '../interrupt.ts';

export class DashboardCommand extends ReportingCommand {
  static override summary = 'Show runs in a browser: curves, timelines, samples, and buttons.';
  static override description =
    'RUN is the folder of a run, or one with such folders in it; runs by default. Runs may go on or have ended. Open the ' +
    'URL that it prints, which has the token in it; whoever has that may also stop the runs. Ctrl-C ends it.';
  static override usage = 'dashboard [RUN ...]';
  static override examples = [
    '<%= config.bin %> dashboard',
    '<%= config.bin %> dashboard runs/quickstart/seed-1 --port 7000',
  ];
  static override strict = false;
  static override flags = {
    ...listenFlags(8765),
    token: Flags.string({
      description: 'secret of the URL, at least 16 letters and digits; by default a new one',
      env: 'CXMIND_DASHBOARD_TOKEN',
    }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(DashboardCommand);
    const { Dashboard } = await import('../../dashboard/server.ts');
    const { runControl } = await import('../../../actors/run-folder/requests.ts');
    const { newToken } = await import('../../../actors/trainer/spawn-dashboard.ts');
    const { isLoopback } = await import('../../serving/http.ts');

    const named = (argv as string[]).map(localPath);
    const folders = named.length === 0 ? ['runs'] : named;
    const token = flags.token ?? newToken();
    if (!/^[\w-]{16,}$/.test(token)) {
      throw new CxmindError('CONFIG_INVALID', '--token: expected at least 16 letters and digits');
    }
    const { output } = this;
    const options = {
      folders,
      control: runControl,
      token,
      onError: (error: unknown) => output.warn(failureOf(error).text),
    };
    await interruptible(async ({ signal }) => {
      await using dashboard = new Dashboard(options);
      const url = await dashboard.listen(flags.host, flags.port);
      await output.tell({ event: 'listening', url }, url);
      for (const folder of folders.filter((one) => !existsSync(one))) {
        output.warn(`${folder}: no such folder yet; its runs show once they are there`);
      }
      if (!isLoopback(flags.host)) {
        output.warn('the token and all that is shown go over the network in clear text');
      }
      if (!signal.aborted) await once(signal, 'abort');
    });
  }
}
