/** CheXpert (Irvin et al., arXiv:1901.07031), in either size. */
import {
  CHEXPERT_FINDINGS,
  tableRows,
  type LabelledPicture,
  type SetFolders,
  type SetLayout,
} from './layout.ts';

/** Folder that the paths in the tables begin with: the set's own. */
const ROOT = /^CheXpert-v[^/]*\//;

async function* pictures({ folder }: SetFolders): AsyncGenerator<LabelledPicture> {
  for (const split of ['train', 'valid']) {
    for await (const row of tableRows(folder, [`${split}.csv`])) {
      const path = row.cell('Path');
      if (!ROOT.test(path)) {
        throw row.error('Path', 'expected a path that begins with CheXpert-v1.0');
      }
      yield {
        image: path.replace(ROOT, ''),
        split,
        isFrontal: row.cell('Frontal/Lateral') === 'Frontal',
        verdicts: row.verdicts(),
        report: null,
      };
    }
  }
}

/** CheXpert as its tables and folders are laid out. */
export const chexpert: SetLayout = {
  title: 'CheXpert',
  licence:
    "Stanford University School of Medicine's CheXpert Dataset Research Use Agreement: personal, non-commercial " +
    'research; no copy may be passed on. Cite Irvin et al., arXiv:1901.07031.',
  findings: CHEXPERT_FINDINGS,
  pictures,
};
