import type { Response } from './request.ts';

/**
 * A call of an engine that may be paused between two tokens, and go on while its weights are others.
 *
 * Responses go on where they were, token for token, and each token has the version of the weights that drew it. Their
 * keys and values are computed again by the new weights, or kept as the old ones left them (PipelineRL,
 * arXiv:2509.19128). Kept ones are computed again too where they are gone: other work had the decoder meanwhile, or the
 * decoder holds copies of the weights.
 */
export class PausableCall {
  readonly #results: Response[][];
  readonly #work: (version: number, signal: AbortSignal) => Promise<void>;
  #isDone = false;

  /**
   * @param results which the work fills
   * @param work    runs with the weights of a version until all results are there. @throws RUNTIME_CANCELLED when the
   *   signal aborts before
   */
  constructor(
    results: Response[][],
    work: (version: number, signal: AbortSignal) => Promise<void>,
  ) {
    this.#results = results;
    this.#work = work;
  }

  /**
   * Goes on with the weights of now.
   *
   * @returns the responses as `GenerationEngine.generate` does; the same again once they are all there
   * @throws RUNTIME_CANCELLED when the signal aborts; the call may go on after that
   */
  async run(version: number, signal: AbortSignal): Promise<Response[][]> {
    if (!this.#isDone) await this.#work(version, signal);
    this.#isDone = true;
    return this.#results;
  }
}
