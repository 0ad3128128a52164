/** Public sets of chest radiographs as they lie in a folder, and their labels in one form. */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { csvRows } from '../data/csv-rows.ts';
import { CxmindError } from '../errors.ts';
import { exists } from '../files.ts';

/** Label that a set gives to a finding in a picture. */
export type Verdict = 'present' | 'absent' | 'uncertain' | 'unmentioned';

/** Picture of a set with its labels. */
export interface LabelledPicture {
  /** Path from the set's folder. */
  readonly image: string;
  /** Part of the set, by the set's own name. No patient is in two parts. */
  readonly split: string;
  readonly isFrontal: boolean;
  readonly verdicts: Readonly<Record<string, Verdict>>;
  /** Path of its report; null if the set has none. */
  readonly report: string | null;
}

/** Places of a set. */
export interface SetFolders {
  readonly folder: string;
  /** Folder of the reports, where they do not lie beside the pictures. */
  readonly reports: string | null;
}

/** Public set of chest radiographs. */
export interface SetLayout {
  readonly title: string;
  /** Terms of its use, and the paper to cite. */
  readonly licence: string;
  /** Names of its findings, in the order in which questions list them. */
  readonly findings: readonly string[];
  /** Pictures in the order of the set's files. */
  readonly pictures: (folders: SetFolders) => AsyncIterable<LabelledPicture>;
}

/** Finding that stands for the absence of all others. */
export const NO_FINDING = 'No Finding';

/** Findings of the CheXpert labeller, which MIMIC-CXR-JPG uses too (Irvin et al., arXiv:1901.07031). */
export const CHEXPERT_FINDINGS: readonly string[] = [
  ...[NO_FINDING, 'Enlarged Cardiomediastinum', 'Cardiomegaly', 'Lung Opacity', 'Lung Lesion'],
  ...['Edema', 'Consolidation', 'Pneumonia', 'Atelectasis', 'Pneumothorax'],
  ...['Pleural Effusion', 'Pleural Other', 'Fracture', 'Support Devices'],
];

/** Cells of a labeller's column. An empty one stands for a finding that the report does not mention. */
const VERDICTS: Readonly<Record<string, Verdict>> = {
  '': 'unmentioned',
  '1': 'present',
  '1.0': 'present',
  '0': 'absent',
  '0.0': 'absent',
  '-1': 'uncertain',
  '-1.0': 'uncertain',
};

/** Row of a table. Every column that is asked for must be there. */
export class TableRow {
  readonly #place: string;
  readonly #cells: Readonly<Record<string, string>>;

  constructor(place: string, cells: Readonly<Record<string, string>>) {
    this.#place = place;
    this.#cells = cells;
  }

  /** @throws DATA_INVALID naming file, line and column if the table has no such column */
  cell(column: string): string {
    const cell = this.#cells[column];
    if (cell === undefined) throw this.error(column, 'there is no such column');
    return cell.trim();
  }

  /** Verdicts on the findings that CheXpert's labeller knows. @throws DATA_INVALID for any other cell */
  verdicts(): Record<string, Verdict> {
    return Object.fromEntries(
      CHEXPERT_FINDINGS.map((finding) => {
        const cell = this.cell(finding);
        const verdict = Object.hasOwn(VERDICTS, cell) ? VERDICTS[cell] : undefined;
        if (verdict === undefined) {
          throw this.error(finding, `expected 1, 0, -1 or nothing, got ${JSON.stringify(cell)}`);
        }
        return [finding, verdict];
      }),
    );
  }

  error(column: string, reason: string): CxmindError {
    return new CxmindError('DATA_INVALID', `${this.#place}: ${column}: ${reason}`);
  }
}

/**
 * Rows of a table of a set, which may be compressed by gzip.
 *
 * @param names names under which releases of the set have it
 * @throws DATA_INVALID if there is none, or a row is broken
 */
export async function* tableRows(
  folder: string,
  names: readonly [string, ...string[]],
): AsyncGenerator<TableRow> {
  const path = await firstOf(
    names.flatMap((name) => [join(folder, name), join(folder, `${name}.gz`)]),
  );
  if (path === null) throw missing(folder, names[0]);
  for await (const row of csvRows({ path, name: basename(path), format: 'csv' })) {
    if (row.problem !== undefined) throw row.problem;
    yield new TableRow(`${path}:${row.line}`, row.value as Record<string, string>);
  }
}

/** Lines of a list of a set. @throws DATA_INVALID if there is none */
export async function listOf(folder: string, name: string): Promise<string[]> {
  const path = join(folder, name);
  if (!(await exists(path))) throw missing(folder, name);
  return (await readFile(path, 'utf8')).split(/\s+/).filter((line) => line !== '');
}

/** First of some paths that there is. */
async function firstOf(paths: readonly string[]): Promise<string | null> {
  for (const path of paths) if (await exists(path)) return path;
  return null;
}

/** Error of a folder that does not have the layout of the set. */
export function missing(folder: string, name: string): CxmindError {
  return new CxmindError('DATA_INVALID', `${folder}: no ${name}, which this set has`, {
    detail: { folder, name },
  });
}
