/** ChestX-ray14 of the NIH Clinical Center (Wang et al., arXiv:1705.02315). */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  listOf,
  missing,
  NO_FINDING,
  tableRows,
  type LabelledPicture,
  type SetFolders,
  type SetLayout,
  type Verdict,
} from './layout.ts';

const FINDINGS = [
  ...[NO_FINDING, 'Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Effusion'],
  ...['Emphysema', 'Fibrosis', 'Hernia', 'Infiltration', 'Mass', 'Nodule'],
  ...['Pleural Thickening', 'Pneumonia', 'Pneumothorax'],
];
const TABLES = ['Data_Entry_2017.csv', 'Data_Entry_2017_v2020.csv'] as const;
const LISTS = { train: 'train_val_list.txt', test: 'test_list.txt' };

async function* pictures({ folder }: SetFolders): AsyncGenerator<LabelledPicture> {
  const splits = new Map<string, string>();
  for (const [split, list] of Object.entries(LISTS)) {
    for (const name of await listOf(folder, list)) splits.set(name, split);
  }
  const paths = await picturePaths(folder);
  for await (const row of tableRows(folder, TABLES)) {
    const name = row.cell('Image Index');
    const split = splits.get(name);
    if (split === undefined) throw row.error('Image Index', 'neither list names this picture');
    const present = row.cell('Finding Labels').replaceAll('_', ' ').split('|');
    const stranger = present.find((finding) => !FINDINGS.includes(finding));
    if (stranger !== undefined) throw row.error('Finding Labels', `unknown finding ${stranger}`);
    const verdicts = Object.fromEntries(
      FINDINGS.map((finding): [string, Verdict] => [
        finding,
        present.includes(finding) ? 'present' : 'absent',
      ]),
    );
    // Every picture of this set is frontal, AP or PA.
    const image = paths.get(name) ?? join('images', name);
    yield { image, split, isFrontal: true, verdicts, report: null };
  }
}

/** Paths of the pictures: the set comes in parts `images_001` to `images_012`, or as one folder `images`. */
async function picturePaths(folder: string): Promise<ReadonlyMap<string, string>> {
  const parts = (await readdir(folder).catch(() => [])).filter((name) =>
    /^images(_\d+)?$/.test(name),
  );
  if (parts.length === 0) throw missing(folder, 'folder images');
  const paths = new Map<string, string>();
  for (const part of parts) {
    for (const inner of [part, join(part, 'images')]) {
      const names = await readdir(join(folder, inner)).catch(() => []);
      for (const name of names) if (name.endsWith('.png')) paths.set(name, join(inner, name));
    }
  }
  return paths;
}

/** ChestX-ray14 as its tables and folders are laid out. */
export const nih: SetLayout = {
  title: 'NIH ChestX-ray14',
  licence:
    'No restriction of use; link to the download site of the NIH Clinical Center, name it as the provider, and cite ' +
    'Wang et al., arXiv:1705.02315.',
  findings: FINDINGS,
  pictures,
};
