/** The checks of this machine, in the order of the report. */
import { checkCards } from './cards.ts';
import type { Finding } from './finding.ts';
import { checkLimits } from './limits.ts';
import type { Machine } from './machine.ts';
import { checkDisk, checkMemory, checkProcessors, checkSharedMemory } from './resources.ts';
import { checkMpi, checkNode, checkOnnxRuntime, checkPrograms, checkWebGpu } from './software.ts';

const checks: readonly ((machine: Machine) => Finding[] | Promise<Finding[]>)[] = [
  checkNode,
  checkOnnxRuntime,
  checkCards,
  checkWebGpu,
  checkMpi,
  checkProcessors,
  checkMemory,
  checkSharedMemory,
  checkDisk,
  checkLimits,
  checkPrograms,
];

/** Checks a machine: what it has, what it lacks, and how to mend that. */
export async function examine(machine: Machine): Promise<Finding[]> {
  const found = await Promise.all(checks.map(async (check) => check(machine)));
  return found.flat();
}
