import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Flags } from '@oclif/core';
import type { Gather } from '../../../transport/launch/cluster.ts';
import { ClusterCommand } from '../command.ts';
import { configFromItems, itemArgs } from '../config-items.ts';
import { demoItems, drawDemo } from '../draw-demo.ts';
import { pathFlag } from '../flags.ts';

export class Quickstart extends ClusterCommand {
  static override summary = 'Teach a small Qwen2.5-VL to read drawn chest pictures, in minutes.';
  static override description =
    'Writes the demo (init), warms the model up on a few reference answers (sft) and trains it by GRPO ' +
    '(train), all with configs/quickstart.yaml. Values may be laid over it as for train. A run that was stopped goes ' +
    'on; one that is done is kept in a folder beside the new one.';
  static override usage = 'quickstart [path.to.key=value ...]';
  static override examples = ['<%= config.bin %> quickstart --seed 2 trainer.max_steps=40'];
  static override strict = false;
  static override args = itemArgs;
  static override flags = {
    seed: Flags.integer({
      description: 'seed of weights, pictures, order and sampling',
      default: 1,
    }),
    folder: pathFlag({ description: 'where everything goes', default: 'runs/quickstart' }),
  };

  async runOn(gather: Gather | undefined): Promise<void> {
    const { argv, flags } = await this.parse(Quickstart);
    const { output } = this;
    const { seed, folder } = flags;
    const demo = join(folder, `demo-${seed}`);
    const { demoPaths } = await import('../../demo/write.ts');
    const { stageOf, warmStartModel } = await import('../../../actors/run-folder/files.ts');
    const { RunLock } = await import('../../../actors/run-folder/lock.ts');
    const { trainPolicy } = await import('../../../actors/trainer/run.ts');
    const { trainSupervised } = await import('../../../actors/trainer/warm-start.ts');
    const { runTraining, tellSummary } = await import('../run-training.ts');

    const paths = demoPaths(demo);
    const items = (model: string): string[] => [
      ...demoItems(demo, { ...paths, model }),
      `data.seed=${seed}`,
      `worker.rollout.seed=${seed}`,
      `trainer.seed=${seed}`,
      `trainer.save_checkpoint_path=${join(folder, `seed-${seed}`)}`,
      ...(argv as string[]),
    ];
    if (!existsSync(paths.model)) {
      this.log(`1/3 init: pictures and a model in ${demo}`);
      await drawDemo(demo, { seed, rows: { openTrain: 140, openValidation: 35 } }, output);
    }
    const { config: sft } = await configFromItems(items(paths.model), 'sft', output);
    const run = sft.trainer.saveCheckpointPath!;
    {
      // Refuses a folder that another run writes before the warm start, which takes a while.
      await using _ = await RunLock.take(run);
    }
    const stage = await stageOf(run);
    if (stage === 'done') {
      const aside = await RunLock.setAside(run);
      this.log(`the run that was here is kept in ${aside}`);
    }
    const warm = warmStartModel(sft.sft.saveCheckpointPath!);
    if (stage === 'on' && existsSync(warm)) {
      this.log(`2/3 sft: done before, in ${warm}`);
    } else {
      this.log('2/3 sft: a few answers, to learn how an answer looks');
      const { loss } = await runTraining(sft, trainSupervised, { output });
      this.log(`loss ${loss.toFixed(3)} nats per token`);
    }
    this.log('3/3 train: GRPO on the closed questions');
    const { config } = await configFromItems(items(warm), 'train', output);
    const summary = await runTraining(config, trainPolicy, { output, gather, saves: true });
    await tellSummary('quickstart', summary, output);
  }

  async folder(): Promise<string> {
    return (await this.parse(Quickstart)).flags.folder;
  }
}
