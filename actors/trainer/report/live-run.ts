/**
 * A run as it is now: its state, step and pace, the phases that go on, the actors, and the spans of its steps.
 *
 * The trainer notes its own work here. The rest is asked of the actor system when the status is written.
 */
import { freemem, hostname, totalmem } from 'node:os';
import type { ActorState, RunStatus } from '../../../src/dashboard/run-files.ts';
import type { SpanLine } from '../../../src/dashboard/readers/timeline.ts';
import type { MemoryGauge } from '../../../src/device/memory.ts';
import { asCxmindError } from '../../../src/errors.ts';
import type { Logger } from '../../runtime/actor.ts';
import type { ActorSnapshot } from '../../runtime/actor.ts';
import type { ActorSystem } from '../../runtime/system.ts';
import type { Phase, Reporter } from './reporter.ts';
import { SpanLog } from './span-log.ts';
import type { Timeline } from './timeline.ts';

/** Parts of a run's status that do not change. */
interface LiveOptions extends Pick<RunStatus, 'device' | 'samples'> {
  readonly system: ActorSystem;
  readonly timeline: Timeline;
  /** Devices of actors by their names; others compute on none. */
  readonly devices: ReadonlyMap<string, string>;
  /** Memory of the devices of this host. */
  readonly gauge: MemoryGauge;
}

/** Numbers of a run that change from step to step. */
type StepStatus = Pick<RunStatus, 'step' | 'steps' | 'secondsLeft' | 'secondsPerStep'>;

/** The state of a run, from which its status file and its progress display are made. */
export class LiveRun implements Disposable {
  readonly #options: LiveOptions;
  readonly #spans: SpanLog;
  readonly #watch: Disposable;
  readonly #phases = new Set<Phase>();
  readonly #started = Date.now();
  #state: RunStatus['state'] = 'starting';
  #pace: StepStatus = { step: 0, steps: null, secondsLeft: null, secondsPerStep: null };
  #checkpoint: RunStatus['checkpoint'] = null;
  #lastError: string | null = null;

  constructor(options: LiveOptions) {
    this.#options = options;
    this.#spans = new SpanLog(options.timeline);
    this.#watch = options.system.watchWork((work) => this.#spans.add(work));
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }

  /** A reporter that lets the run know of phases, and the log of notes. */
  listening(reporter: Reporter, logger: Logger): Reporter {
    return {
      phase: (phase) => {
        const shown = reporter.phase(phase);
        this.#phases.add(phase);
        return {
          [Symbol.dispose]: () => {
            this.#phases.delete(phase);
            shown[Symbol.dispose]();
          },
        };
      },
      step: (line) => reporter.step(line),
      supervisedStep: (line) => reporter.supervisedStep(line),
      note: (text) => {
        logger[text.startsWith('warning:') ? 'warn' : 'info']({ text }, 'note');
        reporter.note(text);
      },
    };
  }

  /** Takes the place of the run from the status that an earlier process of it left, until `begins` knows better. */
  recalls({ step, steps, checkpoint }: Pick<RunStatus, 'step' | 'steps' | 'checkpoint'>): void {
    this.#pace = { ...this.#pace, step, steps };
    this.#checkpoint = checkpoint;
  }

  /** Notes the place of the run before its first step of this process. @param checkpoint that it resumes from */
  begins(step: number, steps: number, checkpoint: RunStatus['checkpoint'] = null): void {
    if (this.#state === 'starting') this.#state = 'running';
    this.#pace = { ...this.#pace, step, steps };
    this.#checkpoint = checkpoint;
  }

  /** Notes a step that was taken. */
  takes(pace: StepStatus): void {
    this.#pace = pace;
  }

  /** Notes that the run is to save and return. */
  stops(): void {
    if (this.#state === 'starting' || this.#state === 'running') this.#state = 'stopping';
  }

  saves(step: number, path: string): void {
    this.#checkpoint = { step, path };
  }

  ends(state: 'done' | 'stopped'): void {
    this.#state = state;
  }

  /**
   * Notes the error that ended the run: a failure, unless somebody asked for the end before an actor was lost.
   *
   * @param interruption aborted by whoever asks for the end
   */
  endsBy(error: unknown, interruption: AbortSignal): void {
    const wasAskedFor = interruption.aborted && !this.#options.system.signal.aborted;
    this.#state = wasAskedFor ? 'stopped' : 'failed';
    if (!wasAskedFor) this.#lastError = asCxmindError(error).message;
  }

  /** The spans of a step that began at a time of `performance.now()` and is over now. */
  spansOf(step: number, beganMs: number): SpanLine {
    return this.#spans.line(step, beganMs);
  }

  status(): RunStatus {
    const { system, timeline, device, samples, devices, gauge } = this.#options;
    return {
      ...{ state: this.#state, host: hostname(), pid: process.pid },
      ...{ started: this.#started, updated: Date.now(), ...this.#pace },
      phases: timeline.openPhases,
      progress: [...this.#phases].map(({ name, done, total }) => ({ name, done: done(), total })),
      actors: system.snapshots().map((actor) => stateOf(actor, devices.get(actor.name) ?? null)),
      memory: {
        residentBytes: process.memoryUsage.rss(),
        freeBytes: freemem(),
        totalBytes: totalmem(),
      },
      deviceMemory: gauge.read(),
      ...{ device, samples, lastError: this.#lastError, checkpoint: this.#checkpoint },
      deadLetters: system.deadLetters,
    };
  }
}

function stateOf(actor: ActorSnapshot, device: string | null): ActorState {
  const { name, status, node, pending, capacity, method, sinceMs, restarts, heapBytes } = actor;
  return {
    ...{ name, status, node: node ?? null, device, mailbox: pending, capacity, method },
    since: Math.round(performance.timeOrigin + sinceMs),
    ...{ restarts, heapBytes, lastError: actor.lastError?.message ?? null },
  };
}
