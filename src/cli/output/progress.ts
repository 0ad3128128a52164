/** The line of a terminal that says how far a run is, with a bar for its phase. */
import type { Pace, Phase } from '../../../actors/trainer/report/reporter.ts';
import { durationText } from './step-table.ts';

/** Characters of the bar; a line that leaves less room than `least` drops its last part. */
const BAR = { least: 6, most: 24 } as const;
const NAME = 'old log-probs'.length;

/** Progress of a run: the phase that it is in, and the steps that it has done. */
export class Progress {
  /** Phases that run beside each other; the first is shown. */
  readonly #phases: { readonly phase: Phase; readonly startedMs: number }[] = [];
  #pace: { readonly pace: Pace; readonly atMs: number } | null = null;

  /** Begins a phase, which ends when it is disposed of. */
  begin(phase: Phase, startedMs: number): Disposable {
    const begun = { phase, startedMs };
    this.#phases.push(begun);
    return {
      [Symbol.dispose]: () => void this.#phases.splice(this.#phases.indexOf(begun), 1),
    };
  }

  /** Takes the pace of the run after a step. */
  take(pace: Pace, atMs: number): void {
    this.#pace = { pace, atMs };
  }

  /** Progress as a line for a terminal, with as much of it as fits; empty before anything is known. */
  line(columns: number, nowMs: number): string {
    const room = columns - 1;
    const run = this.#runParts(nowMs);
    const [begun] = this.#phases;
    if (begun === undefined) return run.join('  ').slice(0, Math.max(0, room));
    const { phase, startedMs } = begun;
    const done = Math.min(phase.total, phase.done());
    const elapsed = (nowMs - startedMs) / 1000;
    const left =
      run.length === 0 && done > 0 && elapsed >= 1
        ? [`${durationText((elapsed / done) * (phase.total - done))} left`]
        : [];
    const before = `${phase.name.padEnd(NAME)} `;
    const after = [`${done}/${phase.total}`, durationText(elapsed), ...left, ...run];
    for (let shown = after.length; shown > 0; shown--) {
      const text = after.slice(0, shown).join('  ');
      const width = Math.min(BAR.most, room - before.length - text.length - 1);
      if (width >= BAR.least) return `${before}${bar(done / phase.total, width)} ${text}`;
    }
    return `${before}${done}/${phase.total}`.slice(0, Math.max(0, room));
  }

  #runParts(nowMs: number): string[] {
    if (this.#pace === null) return [];
    const { pace, atMs } = this.#pace;
    const { step, steps, secondsLeft } = pace;
    const left = Math.max(0, secondsLeft - (nowMs - atMs) / 1000);
    return [`step ${step}/${steps}`, `${durationText(left)} left`];
  }
}

/** A bar of `width` characters, filled to a share. */
export function bar(share: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share || 0)) * width);
  return '█'.repeat(filled) + '░'.repeat(width - filled);
}
