/**
 * Keeps responses with their scores in files for people and the dashboard to read: a folder with `STEP.jsonl` for each
 * step.
 *
 * Names are verl's (`input`, `output`, `gts`, `score`, `step`, of `trainer.rollout_data_dir`), with the parts of the
 * reward under `parts` instead of beside them, and small fields first, so that an index reads the beginnings of lines
 * alone. `turns` are those of a response that an environment answered. A picture that has no file of its own is written
 * once into `pictures`.
 */
import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SampleLine } from '../../../src/dashboard/readers/sample-record.ts';
import { answerText } from '../../../src/data/row.ts';
import { exists, writeFileAtomically } from '../../../src/files.ts';
import type { ScoredResponse } from '../score.ts';

const NAME = /^(\d+)\.jsonl$/;
const PICTURES = 'pictures';

/** A folder of responses with their scores. */
export class SampleLog {
  readonly #folder: string;
  /** Names of pictures by their bytes, which the responses to a prompt share. */
  readonly #pictures = new WeakMap<Uint8Array, string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Writes the responses of a step. */
  async write(step: number, scored: readonly ScoredResponse[]): Promise<void> {
    const lines: string[] = [];
    for (const one of scored) lines.push(`${JSON.stringify(await this.#lineOf(step, one))}\n`);
    await writeFileAtomically(join(this.#folder, `${step}.jsonl`), lines.join(''));
  }

  /** Removes the files of later steps, which are taken anew. */
  async keepUntil(step: number): Promise<void> {
    const names = await readdir(this.#folder).catch((): string[] => []);
    const later = names.filter((name) => Number(NAME.exec(name)?.[1] ?? -Infinity) > step);
    for (const name of later) await rm(join(this.#folder, name));
  }

  async #lineOf(
    step: number,
    { group, response, text, parts }: ScoredResponse,
  ): Promise<SampleLine> {
    const { promptId, context, groundTruth, images } = group.prompt;
    const { overall, ...others } = parts;
    return {
      ...{ step, prompt_id: promptId, sample: group.responses.indexOf(response) },
      ...{ score: overall!, tokens: response.tokenIds.data.length },
      finish_reason: response.finishReason,
      policy_version: response.policyVersions?.data[0] ?? group.policyVersion,
      parts: others,
      images: await Promise.all(images.map((image) => this.#pathOf(image))),
      ...{ input: context.text, output: text, gts: answerText(groundTruth) },
      ...(response.episode && { turns: [...response.episode.texts] }),
    };
  }

  async #pathOf(image: string | Uint8Array): Promise<string> {
    if (typeof image === 'string') return image;
    const known = this.#pictures.get(image);
    if (known !== undefined) return known;
    const name = join(PICTURES, createHash('sha256').update(image).digest('hex').slice(0, 32));
    this.#pictures.set(image, name);
    const file = join(this.#folder, name);
    if (!(await exists(file))) await writeFileAtomically(file, image);
    return name;
  }
}
