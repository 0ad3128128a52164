/** Rules about the sampling of responses, in training and in validations. */
import { isLeft } from 'fp-ts/lib/Either.js';
import { issuesOf, type Issue, type SourceOf } from '../check/issues.ts';
import { validationSampling } from './derive.ts';
import type { Rule } from './rule.ts';
import type { Config } from './schema.ts';
import { ValidationSampling, type Sampling } from './rollout-schema.ts';

const formProblem = ({ structuredOutputs: { regex, json } }: Sampling): string | undefined =>
  regex !== null && json !== null
    ? 'a response has one form, so regex or json has to be null'
    : undefined;

const bestProblem = ({ n, bestOf }: ValidationSampling): string | undefined =>
  bestOf !== null && bestOf < n ? `expected n = ${n} or more, got ${bestOf}` : undefined;

/** The rules of the sampling of every response. */
export const samplingRules: readonly Rule[] = [
  {
    keys: ['worker.rollout.structured_outputs.regex', 'worker.rollout.structured_outputs.json'],
    broken: ({ worker }) => formProblem(worker.rollout),
  },
];

/** Issues of the sampling of validations, inside `worker.rollout.val_override_config`. */
export function validationSamplingIssues(config: Config, sourceOf: SourceOf): Issue[] {
  const prefix = 'worker.rollout.val_override_config.';
  const { rollout } = config.worker;
  const decoded = ValidationSampling.decode(rollout.valOverrideConfig);
  if (isLeft(decoded)) {
    const issues = issuesOf(ValidationSampling, decoded.left, (path) => sourceOf(prefix + path));
    return issues.map((issue) => ({
      ...issue,
      path: prefix + issue.path,
      ...(issue.expected === 'a known key' && issue.nearest !== undefined
        ? { nearest: prefix + issue.nearest }
        : {}),
    }));
  }
  const sampling = validationSampling(rollout);
  const problems = { structured_outputs: formProblem(sampling), best_of: bestProblem(sampling) };
  return Object.entries(problems).flatMap(([key, expected]): Issue[] => {
    if (expected === undefined || !(key in rollout.valOverrideConfig)) return [];
    const source = sourceOf(prefix + key);
    return [{ path: prefix + key, expected, ...(source === undefined ? {} : { source }) }];
  });
}
