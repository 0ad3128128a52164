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
