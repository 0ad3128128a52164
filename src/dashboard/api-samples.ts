/** Types of the API's answers about samples and validations; the table of the API is in `api.ts`. */
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

/** The steps that have samples of a kind. */
export interface SampleSteps {
  readonly kind: SampleKind;
  /** Steps with samples, rising, in columns: `steps[i]` has `counts[i]` samples whose mean score is `means[i]`. */
  readonly steps: readonly number[];
  readonly counts: readonly number[];
  readonly means: readonly (number | null)[];
  /** Kinds of which the run has samples. */
  readonly kinds: readonly SampleKind[];
  /** Sentence that says how samples of this kind come to be kept; null where there are samples. */
  readonly hint: string | null;
}

/** Place of a sample: its step, and its row among the samples of that step. */
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

/** Some samples of a step, with their texts cut. */
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

/** A sample in full, judged step by step. */
export interface SampleDetail extends SampleListing {
  /** The whole texts. */
  readonly prompt: string;
  readonly output: string;
  /**
   * Turns of a response that has several: those of the policy, with a turn of the environment between each two. Empty
   * for a response of one turn.
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
  /** True where both conclusions are the same. */
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

/** Numbers of answers, and of right answers, in a group. */
export interface ValidationGroup {
  readonly name: string;
  readonly answers: number;
  readonly right: number;
}

/** Precision and recall of a finding over the answers. */
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

/** The answers of a validation, counted by option and by finding. */
export interface ValidationReport {
  readonly step: number;
  /** `closed` questions have options, `open` ones findings. */
  readonly task: 'closed' | 'open';
  /** Steps that have a report, rising. */
  readonly steps: readonly number[];
  /** True where every answer was recorded; false where only the answers that loggers show were. */
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
