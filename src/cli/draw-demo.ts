/** A demo as commands use it: written while its progress is shown, and the config that trains on it. */
import type { DemoOptions, DemoPaths } from '../demo/write.ts';
import { CountedPhase } from './output/counted-phase.ts';
import type { Output } from './output/output.ts';

/** Writes a demo, and shows how much of it is written. */
export async function drawDemo(
  directory: string,
  options: DemoOptions,
  output: Output,
): Promise<DemoPaths> {
  const { demoRowCount, writeDemo } = await import('../demo/write.ts');
  using progress = new CountedPhase(output, 'pictures', demoRowCount(options));
  return await writeDemo(directory, { ...options, onProgress: progress.onProgress });
}

/** Items of the config that trains on the closed questions of a demo. */
export function demoItems(
  directory: string,
  { closedTrain, closedValidation, model }: DemoPaths,
): string[] {
  return [
    'config=configs/quickstart.yaml',
    `data.train_files=${closedTrain}`,
    `data.val_files=${closedValidation}`,
    `data.image_dir=${directory}`,
    `worker.actor.model.model_path=${model}`,
  ];
}
