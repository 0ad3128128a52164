/** Whether what is done every `frequency` steps, or never where that is not positive, is done after this one. */
export function isDue(frequency: number, step: number): boolean {
  return frequency > 0 && step % frequency === 0;
}
