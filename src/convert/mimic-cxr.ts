/** MIMIC-CXR-JPG (Johnson et al., arXiv:1901.07042), with the reports of MIMIC-CXR where they are. */
import { join } from 'node:path';
import { exists } from '../files.ts';
import {
  CHEXPERT_FINDINGS,
  tableRows,
  type LabelledPicture,
  type SetFolders,
  type SetLayout,
  type Verdict,
} from './layout.ts';

const FRONTAL: ReadonlySet<string> = new Set(['AP', 'PA']);
/** Endings of a picture's file: those of MIMIC-CXR-JPG and of MIMIC-CXR. */
const ENDINGS = ['jpg', 'dcm'] as const;

const table = (name: string): [string] => [`mimic-cxr-2.0.0-${name}.csv`];

async function* pictures({ folder, reports }: SetFolders): AsyncGenerator<LabelledPicture> {
  const verdicts = new Map<string, Record<string, Verdict>>();
  for await (const row of tableRows(folder, table('chexpert'))) {
    verdicts.set(row.cell('study_id'), row.verdicts());
  }
  const views = new Map<string, string>();
  for await (const row of tableRows(folder, table('metadata'))) {
    views.set(row.cell('dicom_id'), row.cell('ViewPosition'));
  }
  let ending: string | null = null;
  for await (const row of tableRows(folder, table('split'))) {
    const [patient, study, picture] = ['subject_id', 'study_id', 'dicom_id'].map((column) =>
      row.cell(column),
    ) as [string, string, string];
    const labels = verdicts.get(study);
    // Some hundred studies have no report, so no labels either.
    if (labels === undefined) continue;
    const place = join('files', `p${patient.slice(0, 2)}`, `p${patient}`, `s${study}`);
    // All files of a folder have one ending; looking for each would take as long as reading the tables.
    ending ??= await endingOf(join(folder, place, picture));
    yield {
      image: join(place, `${picture}.${ending ?? ENDINGS[0]}`),
      split: row.cell('split'),
      isFrontal: FRONTAL.has(views.get(picture) ?? ''),
      verdicts: labels,
      report: join(reports ?? folder, `${place}.txt`),
    };
  }
}

/** Ending with which there is a picture; null if there is none. */
async function endingOf(stem: string): Promise<string | null> {
  for (const ending of ENDINGS) if (await exists(`${stem}.${ending}`)) return ending;
  return null;
}

/** MIMIC-CXR-JPG as its tables and folders are laid out. */
export const mimicCxr: SetLayout = {
  title: 'MIMIC-CXR-JPG',
  licence:
    'PhysioNet Credentialed Health Data License 1.5.0: for credentialed users who signed its agreement; no copy may be ' +
    'passed on, to a hosted model neither. Cite Johnson et al., arXiv:1901.07042.',
  findings: CHEXPERT_FINDINGS,
  pictures,
};
