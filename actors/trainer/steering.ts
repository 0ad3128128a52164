import { asCxmindError } from '../../src/errors.ts';
import type { RequestKind, RunRequest } from '../../src/dashboard/run-files.ts';
import type { ResumePoint } from '../run-folder/checkpoints.ts';
import type { RequestBox } from '../run-folder/requests.ts';
import type { Saving } from './saving.ts';
import type { Validations } from './validation.ts';

/** Parts of a run that requests reach. */
interface Steered {
  readonly saving: Saving;
  readonly validations: Validations;
  /** Ends the run with its last whole step saved. */
  readonly stop: () => void;
}

/**
 * Takes requests to a run between two of its steps: to stop, to save, to validate.
 *
 * A request changes no number of the run. One that fails is answered so, and the run goes on.
 */
export class Steering {
  readonly #box: RequestBox;
  readonly #steered: Steered;
  /** Requests to stop, which are done once the run has ended. */
  readonly #stops: RunRequest[] = [];

  constructor(box: RequestBox, steered: Steered) {
    this.#box = box;
    this.#steered = steered;
  }

  /** Handles the requests since the last call. @param point the run's place, with its last step complete */
  async take(point: ResumePoint): Promise<void> {
    for (const request of await this.#box.waiting()) {
      await this.#box.answer(request, 'taken', `after step ${point.step}`);
      if (request.kind === 'stop') {
        this.#stops.push(request);
        this.#steered.stop();
        continue;
      }
      const [state, text] = await this.#do(request.kind, point).then(
        (done) => ['done', done] as const,
        (error: unknown) => ['failed', asCxmindError(error).message] as const,
      );
      await this.#box.answer(request, state, text);
    }
  }

  /** Answers requests to stop when the run has ended. @param failure of the run, if it failed */
  async close({ step }: ResumePoint, failure: unknown): Promise<void> {
    for (const request of this.#stops) {
      if (failure === null) {
        await this.#box.answer(request, 'done', `stopped after step ${step}`);
      } else {
        await this.#box.answer(request, 'failed', asCxmindError(failure).message);
      }
    }
  }

  async #do(kind: Exclude<RequestKind, 'stop'>, point: ResumePoint): Promise<string> {
    const { saving, validations } = this.#steered;
    const { step, state } = point;
    if (kind === 'validate') return await validations.request(step, state.validationGate);
    if (saving.has(step)) return `step ${step} is saved already`;
    await saving.save(point);
    return `saved step ${step}`;
  }
}
