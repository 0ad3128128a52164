/** The loggers of a run, opened by their names in `trainer.logger` and called as one. */
import { messageOf } from '../errors.ts';
import { join } from 'node:path';
import type { LoggerName } from '../config/schema.ts';
import { localPath } from '../files.ts';
import type { Metrics } from '../metrics.ts';
import { ConsoleLogger, type ConsoleForm } from './console.ts';
import { FileLogger } from './file.ts';
import type { Generation, MetricLogger, RunDescription, RunEnd } from './logger.ts';
import { MlflowLogger } from './mlflow.ts';
import { SwanLabLogger } from './swanlab.ts';
import { TensorBoardLogger } from './tensorboard.ts';
import { WandbLogger } from './wandb.ts';

/** Parts of the process that loggers use. */
export interface LoggerSurroundings {
  /** Variables such as `TENSORBOARD_DIR`. */
  readonly environment: NodeJS.ProcessEnv;
  /** Writes text of the console logger, which has no last line feed. */
  readonly write: (text: string) => void;
  readonly consoleForm: ConsoleForm;
  /** Tells the user something, one line. */
  readonly note: (text: string) => void;
}

/** All loggers of a run. The first error of each is told to the user, and no error ends the run. */
export class Loggers {
  readonly #note: (text: string) => void;
  #loggers: { readonly name: string; readonly logger: MetricLogger }[] = [];
  readonly #failed = new Set<string>();
  readonly #pending = new Set<Promise<void>>();

  /** Opens the named loggers. A logger that cannot be opened is reported and left out. */
  constructor(names: readonly LoggerName[], run: RunDescription, surroundings: LoggerSurroundings) {
    this.#note = surroundings.note;
    for (const name of new Set(names)) {
      try {
        const logger = makers[name](run, surroundings);
        if (logger !== null) this.#loggers.push({ name, logger });
      } catch (error) {
        this.#tell(name, error);
      }
    }
  }

  /** Hands the metrics of a step to every logger, and returns before they are sent. */
  log(step: number, metrics: Metrics): void {
    this.#each((logger) => logger.log(step, metrics));
  }

  logGenerations(step: number, generations: readonly Generation[]): void {
    if (generations.length === 0) return;
    this.#each((logger) => logger.logGenerations?.(step, generations));
  }

  /** Ends all loggers and waits until they have written and sent everything. */
  async finish(end: RunEnd): Promise<void> {
    this.#each((logger) => logger.finish?.(end));
    this.#loggers = [];
    await Promise.all(this.#pending);
  }

  #each(call: (logger: MetricLogger) => void | Promise<void>): void {
    for (const { name, logger } of this.#loggers) {
      const done = (async () => {
        try {
          await call(logger);
        } catch (error) {
          this.#tell(name, error);
        }
      })();
      this.#pending.add(done);
      void done.then(() => this.#pending.delete(done));
    }
  }

  /** Tells the first failure of a logger; later ones are mostly the same. */
  #tell(name: string, error: unknown): void {
    if (this.#failed.has(name)) return;
    this.#failed.add(name);
    this.#note(`warning: trainer.logger: ${name} fails and is gone on without: ${reasonOf(error)}`);
  }
}

/**
 * Maker of a logger; it gives null for one that is switched off.
 *
 * The logger writes into the run's folder unless a variable of the environment names another.
 */
type Maker = (run: RunDescription, surroundings: LoggerSurroundings) => MetricLogger | null;

const makers: Readonly<Record<LoggerName, Maker>> = {
  console: (run, { write, consoleForm }) => new ConsoleLogger(run, write, consoleForm),
  file: (run) => new FileLogger(run),
  mlflow: (run, { environment }) => new MlflowLogger(run, environment),
  swanlab: (run, { environment, note }) => {
    if (environment['SWANLAB_MODE'] === 'disabled') return null;
    const logger = new SwanLabLogger(
      run,
      folderIn(environment['SWANLAB_DIR']) ?? join(run.folder, 'swanlab_log'),
    );
    note(`swanlab: recorded offline; upload it with: swanlab sync ${logger.folder}`);
    return logger;
  },
  tensorboard: (run, { environment }) =>
    new TensorBoardLogger(
      run,
      folderIn(environment['TENSORBOARD_DIR']) ?? join(run.folder, 'tensorboard_log'),
    ),
  wandb: (run, { environment, note }) => {
    if (environment['WANDB_MODE'] === 'disabled') return null;
    const logger = new WandbLogger(run, {
      root: folderIn(environment['WANDB_DIR']) ?? run.folder,
      entity: environment['WANDB_ENTITY'],
      id: environment['WANDB_RUN_ID'],
    });
    note(`wandb: recorded offline; upload it with: wandb sync ${logger.folder}`);
    return logger;
  },
};

/** The folder that a variable names; undefined for a variable that is not set. */
function folderIn(variable: string | undefined): string | undefined {
  return variable === undefined ? undefined : localPath(variable);
}

/** The message of an error and of its cause, in which `fetch` puts the reason. */
function reasonOf(error: unknown): string {
  const message = messageOf(error);
  return error instanceof Error && error.cause instanceof Error
    ? `${message}: ${messageOf(error.cause)}`
    : message;
}
