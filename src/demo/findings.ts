/** Findings that a demo's pictures can show, and the words about them. */

/** Finding that a demo picture can show. Left and right are the patient's, as in radiology. */
export type FindingKind =
  | 'normal'
  | 'cardiomegaly'
  | 'left_effusion'
  | 'right_effusion'
  | 'left_pneumothorax'
  | 'right_pneumothorax'
  | 'opacity';

/** Finding as an option of the closed question and as a disease of the open one. */
export interface Finding {
  readonly kind: FindingKind;
  readonly letter: 'A' | 'B' | 'C' | 'D' | 'E' | 'F' | 'G';
  readonly label: string;
  /** Thought of a step that affirms it. */
  readonly present: string;
  /** Thought of a step that rejects it. */
  readonly absent: string;
}

/** Findings in the order of the options A to G. */
export const findings: readonly Finding[] = [
  {
    kind: 'normal',
    letter: 'A',
    label: 'Normal',
    present: 'The heart and lungs are clear.',
    absent: 'The picture is not clear.',
  },
  {
    kind: 'cardiomegaly',
    letter: 'B',
    label: 'Cardiomegaly',
    present: 'The heart is enlarged.',
    absent: 'The heart is not enlarged.',
  },
  {
    kind: 'left_effusion',
    letter: 'C',
    label: 'Left pleural effusion',
    present: 'The left base is white.',
    absent: 'The left base is not white.',
  },
  {
    kind: 'right_effusion',
    letter: 'D',
    label: 'Right pleural effusion',
    present: 'The right base is white.',
    absent: 'The right base is not white.',
  },
  {
    kind: 'left_pneumothorax',
    letter: 'E',
    label: 'Left pneumothorax',
    present: 'The left apex is dark.',
    absent: 'The left apex is not dark.',
  },
  {
    kind: 'right_pneumothorax',
    letter: 'F',
    label: 'Right pneumothorax',
    present: 'The right apex is dark.',
    absent: 'The right apex is not dark.',
  },
  {
    kind: 'opacity',
    letter: 'G',
    label: 'Opacity',
    present: 'A lung has a white patch.',
    absent: 'No lung has a white patch.',
  },
];

/** Finding of a kind. */
export function findingOf(kind: FindingKind): Finding {
  return findings.find((finding) => finding.kind === kind)!;
}
