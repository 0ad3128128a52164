import { Errors, Flags } from '@oclif/core';
import { ReportingCommand } from '../command.ts';
import { itemArgs } from '../config-items.ts';
import { pathFlag } from '../flags.ts';

const picture = Flags.custom<[number, number]>({
  parse: (input) => {
    const size = /^([1-9]\d{0,4})x([1-9]\d{0,4})$/.exec(input);
    if (size !== null) return Promise.resolve([Number(size[1]), Number(size[2])]);
    return Promise.reject(
      new Errors.CLIError(`--picture: expected WIDTHxHEIGHT in pixels, got "${input}"`),
    );
  },
});

export class Plan extends ReportingCommand {
  static override summary = 'Say what memory and time a run would take, on which machines.';
  static override description =
    "A plan needs the config and the model's `config.json`; weights need not exist. Prompts are those of " +
    '`data.train_files` where these are here, else of the lengths that flags give. Responses are as long as they may ' +
    'be unless --response-tokens says less. The exit code is 1 where the run fits no machine that was asked for.';
  static override usage = 'plan config=FILE [path.to.key=value ...]';
  static override examples = [
    '<%= config.bin %> plan config=configs/cx-closed.yaml worker.actor.model.model_path=MODEL',
    '<%= config.bin %> plan config=configs/cx-closed.yaml worker.actor.model.model_path=MODEL --machine h100-x8',
    '<%= config.bin %> plan config=configs/cx-closed.yaml worker.actor.model.model_path=MODEL --calibrate',
  ];
  static override strict = false;
  static override args = itemArgs;
  static override flags = {
    machine: Flags.string({
      description: 'a machine of the table, or `this machine`; may be given several times',
      multiple: true,
      multipleNonGreedy: true,
    }),
    machines: pathFlag({
      description: 'YAML file with further machines, as configs/machines.yaml',
    }),
    calibrate: Flags.boolean({
      description:
        "measure this machine's own programs first, for a minute; kept in cxmind/calibration.json of the user's cache",
    }),
    'prompt-tokens': Flags.integer({
      description: 'tokens of a prompt, pictures included',
      min: 2,
    }),
    'response-tokens': Flags.integer({ description: 'tokens of a response', min: 1 }),
    pictures: Flags.integer({
      description: 'pictures of a prompt of --prompt-tokens',
      min: 0,
      dependsOn: ['prompt-tokens'],
    }),
    picture: picture({
      description: 'size of a picture, WIDTHxHEIGHT in pixels',
      dependsOn: ['prompt-tokens'],
    }),
    prompts: Flags.integer({ description: 'prompts of the training set, for the hours', min: 1 }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Plan);
    const { plansOf } = await import('../plan-machines.ts');
    const { THIS_MACHINE } = await import('../../plan/machines.ts');
    const { detailsOf, factsOf, refusalFacts, tableOf } = await import('../../plan/report.ts');
    if (flags.calibrate) {
      const { calibrate } = await import('../plan-calibrate.ts');
      await calibrate(argv as string[], flags);
    }
    const { head, plans, refused } = await plansOf(argv as string[], flags);
    const detailed = plans.filter(
      ({ estimate }) => flags.machine !== undefined || estimate.machine === THIS_MACHINE,
    );
    const lines = [tableOf(plans, refused), ...detailed.map((plan) => `\n${detailsOf(plan)}`)];
    this.log(head);
    const facts = { machines: [...plans.map(factsOf), ...refused.map(refusalFacts)] };
    await this.output.tell({ event: 'result', command: 'plan', ...facts }, lines.join('\n'));
    if (plans.every(({ estimate }) => !estimate.fits)) this.exit(1);
  }
}
