import type { WeightLoan } from '../../weights/rollout-weights.ts';
import type { BeginRequest, GenerateRequest, Group } from '../../rollout/protocol.ts';
import { withAny } from '../../runtime/pool.ts';
import type { GroupSampler } from '../batch.ts';
import type { RunActors, StepContext } from '../context.ts';
import { ANY_WORK_MS, RETRIES } from '../patience.ts';
import { generateGroups } from '../sample.ts';

type Rollout = RunActors['rollouts'][number];

/**
 * The rollouts' answers by weights that may change inside a response, as in verl's fully_async_policy with
 * `partial_rollout` and in PipelineRL (arXiv:2509.19128).
 *
 * When learners publish a version, every rollout stops between two tokens, the weights are copied, and it goes on where
 * it was. Each token has the version and the log-probability of the weights that drew it. Unlike there no response is
 * left for a later batch, so a batch is as stale as it was when it began, and most of its tokens are less so.
 *
 * @param oldest version of the weights that may begin a response
 */
export function answersInParts(
  { actors, plan, reporter, rolloutWeights }: StepContext,
  oldest: number,
): GroupSampler {
  const { rollouts } = actors;
  const cache = plan.step.partialRollout ?? 'recompute';
  let share = 0;
  return (prompts, request) => {
    const { signal } = request;
    const name = request.stream.join('/');
    const ask = (generate: GenerateRequest): Promise<{ groups: Group[] }> => {
      const id = `${name}/${share++}`;
      return rolloutWeights.lend(
        (loan) =>
          withAny(rollouts, { retries: RETRIES }, (rollout) =>
            respond(rollout, { ...generate, id, cache }, loan, signal),
          ),
        { oldest, signal },
      );
    };
    return generateGroups(rollouts, prompts, { ...request, policyVersion: oldest }, reporter, ask);
  };
}

/** Has one rollout answer, pauses it whenever newer weights come, and removes the request in any case. */
async function respond(
  rollout: Rollout,
  request: BeginRequest,
  loan: WeightLoan,
  signal: AbortSignal,
): Promise<{ groups: Group[] }> {
  const { id } = request;
  using owned = new DisposableStack();
  // A rollout that has stopped has forgotten it. Nobody waits for one that restarts.
  owned.defer(() => void rollout.tell.forget(id).catch(() => undefined));
  for (let hasBegun = false; ;) {
    const { version: policyVersion, recalled } = loan;
    const options = { timeoutMs: ANY_WORK_MS, signal: AbortSignal.any([signal, recalled]) };
    try {
      return hasBegun
        ? await rollout.ask.goOn({ id, policyVersion }, options)
        : await rollout.ask.begin({ ...request, policyVersion }, options);
    } catch (error) {
      if (signal.aborted || !recalled.aborted) throw error;
    }
    // The answer comes once the cancelled call has ended. It may have finished meanwhile, or not have begun.
    hasBegun = await rollout.ask.hasBegun(id, { timeoutMs: ANY_WORK_MS, signal });
    await loan.next(signal);
  }
}
