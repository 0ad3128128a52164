/** The samples of a run and what validations say of them, in answers of the API whose table is in `api.ts`. */
import type { FinishReason } from '../finish-reason.ts';

/**
 * Kind of samples.
 *
 * - `rollout`: responses that a step was trained on, where `trainer.rollout_data_dir` is set.
 * - `validation`: answers of validations: all of them where `trainer.validation_data_dir` is set, else those that
 *   `trainer.val_generations_to_log` chose.
 * - `evaluation`: answers of `cxmind eval`, under step 0.
 */
export type SampleKind = 'rollout' | 'validation' | 'evaluation';

export interface SampleIndex {
  readonly kind: SampleKind;
  /** Steps with samples, rising, in columns: `steps[i]` has `counts[i]` samples whose mean score is `means[i]`. */
  readonly steps: readonly number[];
  readonly counts: readonly number[];
  readonly means: readonly (number | null)[];
  /** Kinds of which the run has samples. */
  readonly kinds: readonly SampleKind[];
  /** Reason why there are none, and the key of the config that changes that; null where there are some. */
  readonly hint: string | null;
}

/** Place of a sample: a row of those of its step. */
export interface SamplePlace {
  readonly step: number;
  /** Number among the samples of the step, from 0. */
  readonly row: number;
}

/** A sample in a list: its texts are cut. */
export interface SampleListing extends SamplePlace {
  /** Id of the prompt, which stays the same over steps. */
  readonly promptId: string;
  /** Number of the response among those to its prompt, from 0. */
  readonly sample: number;
  /** Beginning of the prompt and of the response, at most 200 characters each. */
  readonly prompt: string;
  readonly output: string;
  /** The reward, `overall`. */
  readonly score: number | null;
  /** Parts of the reward by name, without `overall`. */
  readonly parts: Readonly<Record<string, number | null>>;
  readonly tokens: number | null;
  readonly pictures: number;
}

export interface SamplePage {
  readonly kind: SampleKind;
  readonly step: number;
  /** Samples of the step in all. */
  readonly total: number;
  readonly start: number;
  readonly samples: readonly SampleListing[];
}

/** A step of reasoning: `<think>…</think><answer>…</answer>`. */
export interface ReasoningStep {
  readonly think: string;
  readonly answer: string;
  /** Claim of the mark in the answer: true for a tick, false for a cross, null for neither or both. */
  readonly claim: boolean | null;
  /** True where the claim agrees with the reference answer; null where nothing is claimed. */
  readonly isRight: boolean | null;
}

export interface SampleDetail extends SampleListing {
  /** The whole texts. */
  readonly prompt: string;
  readonly output: string;
  /**
   * Turns of the response where it has several: the policy's, and between each two that of its environment. Empty where
   * it has one.
   */
  readonly turns: readonly string[];
  /** The reference answer. */
  readonly groundTruth: string;
  /** Steps of the response in order, each judged by the reference; empty for a response without tags. */
  readonly reasoning: readonly ReasoningStep[];
  /** Steps of the reference answer, where it is a chain. */
  readonly referenceReasoning: readonly ReasoningStep[];
  /** Conclusion of the response: its option, or its findings; empty where it comes to none. */
  readonly conclusion: readonly string[];
  readonly referenceConclusion: readonly string[];
  /** True where the two are the same. */
  readonly isRight: boolean;
  /** Reason why the response ended; null where that was not recorded. */
  readonly finishReason: FinishReason | null;
  /** Version of the weights that sampled it; null where that was not recorded. */
  readonly policyVersion: number | null;
}

/** Samples of one prompt over the steps. */
export interface PromptHistory {
  readonly kind: SampleKind;
  readonly promptId: string;
  readonly total: number;
  readonly start: number;
  /** Sorted by step, then by row. */
  readonly samples: readonly SampleDetail[];
}

/** Answers of a group, and right ones among them. */
export interface ValidationGroup {
  readonly name: string;
  readonly answers: number;
  readonly right: number;
}

/** Numbers of answers that name a finding, rightly and wrongly. */
export interface FindingScore {
  readonly name: string;
  /** Answers that name it and should. */
  readonly hits: number;
  /** Answers that name it and should not. */
  readonly falseAlarms: number;
  /** Answers that should name it and do not. */
  readonly misses: number;
  readonly precision: number | null;
  readonly recall: number | null;
  readonly f1: number | null;
}

/**
 * A confusion matrix: `counts[i][j]` answers where the reference has `rows[i]` and the response `columns[j]`.
 *
 * For findings, of which an answer has several, it is that of Heydarian et al. 2022 (MLCM): hits are on the diagonal, and
 * a missed finding is held against those that were named in its place.
 */
export interface ConfusionMatrix {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly counts: readonly (readonly number[])[];
}

export interface ValidationReport {
  readonly step: number;
  /** `closed` questions have options, `open` ones findings. */
  readonly task: 'closed' | 'open';
  /** Steps that have a report, rising. */
  readonly steps: readonly number[];
  /** True where every answer was recorded, and not those alone that were chosen to be shown. */
  readonly isWhole: boolean;
  readonly answers: number;
  readonly right: number;
  /** Groups by the reference's option; empty for open questions. */
  readonly options: readonly ValidationGroup[];
  /** Findings, the most frequent first; empty for closed questions. */
  readonly findings: readonly FindingScore[];
  readonly matrix: ConfusionMatrix;
  /** Share of marked steps of reasoning that agree with the reference; null without any. */
  readonly processAccuracy: number | null;
}
