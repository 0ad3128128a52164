/**
 * Sentences of a report about a finding, as the thoughts of a chain.
 *
 * A sentence counts if it names the finding and is worded as the label says: negated or not. This is far simpler than
 * the labeller that made the labels (Irvin et al., arXiv:1901.07031), and only picks among sentences; the verdict stays
 * the label's.
 */

/** Words that name a finding. */
const MENTIONS: Readonly<Record<string, RegExp>> = {
  'No Finding': /no (acute|evidence of acute)|unremarkable|within normal limits|lungs are clear/i,
  'Enlarged Cardiomediastinum': /mediastin|cardiomediastin/i,
  Cardiomegaly: /cardiomegaly|heart size|cardiac (silhouette|size)|heart is/i,
  'Lung Opacity': /opaci|infiltrat/i,
  'Lung Lesion': /nodul|mass(?!ive)|lesion/i,
  Edema: /edema|vascular congestion/i,
  Consolidation: /consolidat/i,
  Pneumonia: /pneumonia|infecti/i,
  Atelectasis: /atelecta|collapse/i,
  Pneumothorax: /pneumothora/i,
  'Pleural Effusion': /effusion/i,
  'Pleural Other': /pleural (thick|scar|plaque)|fibrothorax/i,
  Fracture: /fractur/i,
  'Support Devices': /\b(tube|catheter|line|pacemaker|pacer|wires?|device|port)\b/i,
};
const NEGATION =
  /\b(no|not|without|free of|clear|normal|unremarkable|resolved|negative|absence)\b/i;
/** Sections that describe the picture. The others tell of the patient and the question. */
const DESCRIPTIVE = /FINDINGS|IMPRESSION|CONCLUSION/;
const HEADING = /^[ \t]*([A-Z][A-Z ,/()&-]*[A-Z]):/gm;
/** Blank that stands for what was taken out of a report, or a character that would end a chain's block. */
const UNUSABLE = /___|[<>✅❌]/u;
const MOST_CHARACTERS = 300;

/** Sentences of a report's descriptive sections; of all its text if it has no headings. */
export function sentencesOf(report: string): string[] {
  const headings = [...report.matchAll(HEADING)];
  const sections = headings.map(({ index, 0: heading, 1: name = '' }, i) => ({
    name,
    text: report.slice(index + heading.length, headings[i + 1]?.index),
  }));
  const described = sections.filter(({ name }) => DESCRIPTIVE.test(name)).map(({ text }) => text);
  const texts = headings.length === 0 ? [report] : described;
  return texts
    .flatMap((text) => text.replace(/\s+/g, ' ').split(/(?<=[.!?]) (?=[A-Z])/))
    .map((sentence) => sentence.trim())
    .filter(({ length }) => length > 0 && length <= MOST_CHARACTERS)
    .filter((sentence) => !UNUSABLE.test(sentence));
}

/**
 * Thought that affirms or rejects a finding: the first sentence that does so, else one of a fixed form.
 *
 * @param sentences sentences of the report; empty if there is none
 */
export function thoughtOn(
  finding: string,
  isPresent: boolean,
  sentences: readonly string[],
): string {
  const mention = MENTIONS[finding];
  // The absence of all findings is worded as negations.
  const isNegated = finding === 'No Finding' ? isPresent : !isPresent;
  const said =
    mention &&
    sentences.find((sentence) => mention.test(sentence) && NEGATION.test(sentence) === isNegated);
  if (said !== undefined) return said;
  if (finding === 'No Finding') {
    return isPresent ? 'Nothing abnormal is seen.' : 'Something abnormal is seen.';
  }
  return `There ${isPresent ? 'are' : 'are no'} signs of ${finding.toLowerCase()}.`;
}
