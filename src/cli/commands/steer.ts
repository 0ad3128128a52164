/** Commands that ask a run for something: to stop, to save, to validate. */
import { setTimeout as delay } from 'node:timers/promises';
import { Flags } from '@oclif/core';
import type { RequestKind, RunRequest } from '../../dashboard/run-files.ts';
import { isHeld, type RunControl } from '../../dashboard/run-control.ts';
import { CxmindError } from '../../errors.ts';
import { ReportingCommand } from '../command.ts';
import { runArg } from '../flags.ts';

const LOOK_MS = 200;

abstract class SteerCommand extends ReportingCommand {
  static override args = { run: runArg };
  static override flags = {
    wait: Flags.boolean({ description: 'wait until the run has done it', default: false }),
  };

  protected abstract readonly kind: RequestKind;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SteerCommand);
    const { runIn } = await import('../runs.ts');
    const { runControl } = await import('../../../actors/run-folder/requests.ts');
    const view = await runIn(args.run);
    const { folder } = view.place;
    const { kind } = this;
    const asked = await runControl.request(folder, kind);
    const { step, steps } = await view.freshListing();
    let text = `asked ${folder} to ${kind}, which it does when step ${step + 1} of ${steps ?? '?'} is over`;
    if (flags.wait) {
      this.log(`waiting until step ${step + 1} is over`);
      text = await outcomeOf(asked, folder, runControl);
    }
    await this.output.tell({ event: 'result', command: kind, run: folder, text }, text);
  }
}

/** Waits for the outcome of a request. @throws CONFIG_INVALID where the run fails it, or is gone */
async function outcomeOf(
  { id, kind }: RunRequest,
  folder: string,
  control: RunControl,
): Promise<string> {
  for (;;) {
    const holder = await control.holder(folder);
    const request = (await control.requests(folder)).find((one) => one.id === id);
    if (request?.state === 'done') return request.text;
    if (request?.state === 'failed' || !isHeld(holder)) {
      const reason = request?.state === 'failed' ? request.text : 'the run is gone';
      throw new CxmindError('CONFIG_INVALID', `${folder}: it did not ${kind}: ${reason}`);
    }
    await delay(LOOK_MS);
  }
}

export class Stop extends SteerCommand {
  static override summary = 'Ask a run to stop; the same command goes on from there.';
  static override description =
    'The run ends when its present step is over, and saves a checkpoint. It may be on another host that shares the folder.';
  static override examples = ['<%= config.bin %> stop runs/quickstart/seed-1 --wait'];
  protected readonly kind = 'stop';
}

export class Save extends SteerCommand {
  static override summary = 'Ask a run to save a checkpoint and go on.';
  static override description = 'The run saves when its present step is over.';
  static override examples = ['<%= config.bin %> save runs/quickstart/seed-1'];
  protected readonly kind = 'save';
}

export class Validate extends SteerCommand {
  static override summary = 'Ask a run to validate and go on.';
  static override description =
    'The run validates when its present step is over. With --wait the command prints accuracy and reward.';
  static override examples = ['<%= config.bin %> validate runs/quickstart/seed-1 --wait'];
  protected readonly kind = 'validate';
}
