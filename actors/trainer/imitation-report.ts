import type { RunEnd } from '../../src/loggers/logger.ts';
import type { Loggers } from '../../src/loggers/open.ts';
import type { Metrics } from '../../src/metrics.ts';
import type { SupervisedStep } from '../../src/training/supervised-update.ts';
import type { Logger } from '../runtime/actor.ts';
import type { SupervisedPlan } from './plan.ts';
import type { Pace, Reporter } from './reporter.ts';
import { RunFiles } from './run-files.ts';
import { setAside } from './set-aside.ts';
import { openLoggers, showsTable } from './tracking.ts';

/** Files that grow by a line or more a step. */
const filesOfReport: readonly string[] = [
  'metrics.jsonl',
  'experiment_log.jsonl',
  'generations.log',
];

/** Where supervised training tells of itself: its folder's files, its loggers, and a table. */
export class ImitationReport implements AsyncDisposable {
  readonly #plan: SupervisedPlan;
  readonly #reporter: Reporter;
  readonly #logger: Logger;
  readonly #files: RunFiles;
  readonly #loggers: Loggers;
  #end: RunEnd = 'failed';

  private constructor(
    plan: SupervisedPlan,
    { reporter, logger }: { readonly reporter: Reporter; readonly logger: Logger },
    files: RunFiles,
  ) {
    this.#plan = plan;
    this.#reporter = reporter;
    this.#logger = logger;
    this.#files = files;
    const { experimentName } = plan.tracking;
    this.#loggers = openLoggers(plan, reporter, {
      experiment: `${experimentName}-sft`,
      resumedAfter: null,
    });
  }

  /** Opens the report in a folder; files of an earlier run there are set aside. */
  static async open(
    plan: SupervisedPlan,
    options: { readonly reporter: Reporter; readonly logger: Logger },
  ): Promise<ImitationReport> {
    const files = await RunFiles.open(plan.folder);
    await files.keepUntil(-1, -1);
    return new ImitationReport(plan, options, files);
  }

  /** Shows a step. @returns its metrics */
  step(
    { loss, gradientNorm, tokens }: SupervisedStep,
    { learningRate, ...pace }: Pace & { readonly learningRate: number },
  ): Metrics {
    const { step } = pace;
    this.#logger.info({ step, loss, gradientNorm, tokens, learningRate }, 'sft');
    if (showsTable(this.#plan.tracking)) {
      const tokensPerSecond = tokens / pace.seconds;
      this.#reporter.supervisedStep({
        ...pace,
        ...{ loss, gradNorm: gradientNorm, learningRate, tokensPerSecond },
      });
    }
    return {
      'sft/loss': loss,
      'sft/grad_norm': gradientNorm,
      'sft/tokens': tokens,
      'sft/lr': learningRate,
    };
  }

  /** Shows the loss on held-out answers. @returns its metrics */
  validation(step: number, loss: number): Metrics {
    this.#logger.info({ step, loss }, 'validation');
    this.#reporter.note(`validation at step ${step}: loss ${loss.toFixed(4)}`);
    return { 'val/loss': loss };
  }

  /** Keeps all there is to say of a step, 0 being before the first. */
  async keep(step: number, metrics: Metrics): Promise<void> {
    await this.#files.metrics(step, metrics);
    this.#loggers.log(step, metrics);
  }

  /** Says that the training came to its end, or was stopped in order. */
  finish(): void {
    this.#end = 'finished';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loggers.finish(this.#end);
  }
}
