/** Samples of a run as the page shows them: a page of a step, one sample in full, or a prompt's over the steps. */
import { dirname, resolve } from 'node:path';
import { compareAnswer } from '../../evaluation/score.ts';
import { stepsOf, taskOf } from '../../evaluation/task.ts';
import type {
  PromptHistory,
  SampleDetail,
  SampleKind,
  SampleListing,
  SamplePage,
  SamplePlace,
} from '../api-samples.ts';
import { bytesAt, openedFile } from './line-tail.ts';
import type { SampleFiles } from './sample-files.ts';
import { recordOf, type SampleRecord } from './sample-record.ts';

/** Every kind of samples. */
export const sampleKinds: readonly SampleKind[] = ['rollout', 'validation', 'evaluation'];

const LISTED_CHARACTERS = 200;

/** A part of a list: `count` items from `start`. */
export interface Slice {
  readonly start: number;
  readonly count: number;
}

/** The samples of one kind, read from their files. */
export class Samples {
  readonly kind: SampleKind;
  readonly files: SampleFiles;

  constructor(kind: SampleKind, files: SampleFiles) {
    this.kind = kind;
    this.files = files;
  }

  async page(step: number, { start, count }: Slice): Promise<SamplePage> {
    const total = this.files.index.count(step);
    const length = Math.max(0, Math.min(count, total - start));
    const places = Array.from({ length }, (_, i) => ({ step, row: start + i }));
    const samples = await this.#each(places, listingOf);
    return { kind: this.kind, step, total, start, samples };
  }

  /** One sample in full; null where there is none. */
  async one(place: SamplePlace): Promise<SampleDetail | null> {
    return (await this.#each([place], detailOf))[0] ?? null;
  }

  async history(promptId: string, { start, count }: Slice): Promise<PromptHistory> {
    const places = this.files.index.placesOf(promptId);
    const samples = await this.#each(places.slice(start, start + count), detailOf);
    return { kind: this.kind, promptId, total: places.length, start, samples };
  }

  /** All records of a step. */
  records(step: number): Promise<SampleRecord[]> {
    const length = this.files.index.count(step);
    const places = Array.from({ length }, (_, row) => ({ step, row }));
    return this.#each(places, (_, record) => record);
  }

  /** Path of a picture of a sample; null where there is none. Only records name pictures. */
  async picture(place: SamplePlace, number: number): Promise<string | null> {
    const line = this.files.index.lineOf(place);
    const [record] = await this.#each([place], (_, read) => read);
    const path = record?.pictures[number];
    return line === null || path === undefined ? null : resolve(dirname(line.file), path);
  }

  /** Makes something of each record, in the order of the places. A file is opened once, and one at a time. */
  async #each<T>(
    places: readonly SamplePlace[],
    make: (place: SamplePlace, record: SampleRecord) => T,
  ): Promise<T[]> {
    const { form, index } = this.files;
    const lines = places.flatMap((place) => {
      const line = index.lineOf(place);
      return line === null ? [] : [{ place, line }];
    });
    const made: T[] = [];
    // Places come by step, so those of a file come together.
    for (const [path, inFile] of Map.groupBy(lines, ({ line }) => line.file)) {
      await using file = await openedFile(path);
      // The file is gone or was replaced meanwhile; the next refresh reads its lines again.
      if (file === null) continue;
      for (const { place, line } of inFile) {
        const record = recordOf(form, await bytesAt(file, line));
        if (record !== null) made.push(make(place, record));
      }
    }
    return made;
  }
}

function listingOf({ step, row }: SamplePlace, record: SampleRecord): SampleListing {
  const { promptId, sample, score, parts, tokens, pictures, prompt, output } = record;
  const cut = (text: string): string => text.slice(0, LISTED_CHARACTERS);
  return {
    ...{ step, row, promptId, sample, score, parts, tokens },
    pictures: pictures.length,
    prompt: cut(prompt),
    output: cut(output),
  };
}

/** A sample with its steps of reasoning, each judged by the reference answer as `cxmind eval` does. */
function detailOf(place: SamplePlace, record: SampleRecord): SampleDetail {
  const { prompt, output, turns, groundTruth, finishReason, policyVersion } = record;
  const task = taskOf([groundTruth]);
  const { answer, gold, right } = compareAnswer(task, output, groundTruth);
  return {
    ...listingOf(place, record),
    ...{ prompt, output, groundTruth, finishReason, policyVersion },
    turns: turns.length > 1 ? turns : [],
    reasoning: stepsOf(task, output, groundTruth),
    referenceReasoning: stepsOf(task, groundTruth, groundTruth),
    conclusion: answer,
    referenceConclusion: gold,
    isRight: right === 1,
  };
}
