import { interruptible } from '../../src/cli/interrupt.ts';

/** A process whose work hears of a preemption, says so and goes on for ever. */
await interruptible(
  ({ preemption }) => {
    preemption.addEventListener('abort', () => console.log('preempted'));
    console.log('working');
    return new Promise<never>(() => setInterval(() => undefined, 1_000));
  },
  () => undefined,
);
