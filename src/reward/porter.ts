/**
 * Porter's stemmer with NLTK's extensions. The rouge-score package stems with it. The extensions lie inside the steps,
 * so the package `stemmer` cannot be wrapped: it differs from NLTK on 56 of the 800 words of the golden test.
 *
 * M. F. Porter, An algorithm for suffix stripping, 1980; NLTK's `PorterStemmer` in its mode NLTK_EXTENSIONS.
 */

/** Rule of a step. The first rule whose suffix matches decides: if its condition fails, the word stays. */
interface Rule {
  readonly suffix: string;
  readonly replacement: string;
  readonly when: (stem: string, word: string) => boolean;
}

const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ['sky', 'sky'],
  ['skies', 'sky'],
  ['dying', 'die'],
  ['lying', 'lie'],
  ['tying', 'tie'],
  ['news', 'news'],
  ['inning', 'inning'],
  ['innings', 'inning'],
  ['outing', 'outing'],
  ['outings', 'outing'],
  ['canning', 'canning'],
  ['cannings', 'canning'],
  ['howe', 'howe'],
  ['proceed', 'proceed'],
  ['exceed', 'exceed'],
  ['succeed', 'succeed'],
]);

function isConsonant(word: string, at: number): boolean {
  const letter = word[at]!;
  if ('aeiou'.includes(letter)) return false;
  return letter !== 'y' || at === 0 || !isConsonant(word, at - 1);
}

/** Porter's measure m of a stem [C](VC)^m[V]: the number of vowels with a consonant behind them. */
function measure(stem: string): number {
  let count = 0;
  for (let i = 1; i < stem.length; i++) {
    if (isConsonant(stem, i) && !isConsonant(stem, i - 1)) count++;
  }
  return count;
}

function hasVowel(stem: string): boolean {
  return Array.from(stem).some((_, i) => !isConsonant(stem, i));
}

function endsInDoubleConsonant(word: string): boolean {
  return word.length >= 2 && word.at(-1) === word.at(-2) && isConsonant(word, word.length - 1);
}

/** Tells whether a word ends in consonant, vowel, consonant other than w, x, y. NLTK adds the word vowel, consonant. */
function endsInShortSyllable(word: string): boolean {
  const n = word.length;
  if (n === 2) return !isConsonant(word, 0) && isConsonant(word, 1);
  return (
    n > 2 &&
    isConsonant(word, n - 3) &&
    !isConsonant(word, n - 2) &&
    isConsonant(word, n - 1) &&
    !'wxy'.includes(word[n - 1]!)
  );
}

/** Parses rules under one condition: `'ational ate, enci ence, ful'` are suffixes and replacements. */
function rules(table: string, when: Rule['when']): Rule[] {
  return table.split(',').map((entry) => {
    const [suffix = '', replacement = ''] = entry.trim().split(' ');
    return { suffix, replacement, when };
  });
}

function apply(word: string, table: readonly Rule[]): string {
  for (const { suffix, replacement, when } of table) {
    if (!word.endsWith(suffix)) continue;
    const stem = word.slice(0, word.length - suffix.length);
    return when(stem, word) ? stem + replacement : word;
  }
  return word;
}

const always = (): boolean => true;
const positive = (stem: string): boolean => measure(stem) > 0;
const long = (stem: string): boolean => measure(stem) > 1;

const STEP_1A = rules('sses ss, ies i, ss ss, s', always);
const STEP_1B = rules('at ate, bl ble, iz ize', always);
const STEP_1C = rules('y i', (stem) => stem.length > 1 && isConsonant(stem, stem.length - 1));
const STEP_2 = [
  ...rules('ational ate, tional tion, enci ence, anci ance, izer ize, bli ble, alli al', positive),
  ...rules('entli ent, eli e, ousli ous, ization ize, ation ate, ator ate, alism al', positive),
  ...rules('iveness ive, fulness ful, ousness ous, aliti al, iviti ive, biliti ble', positive),
  ...rules('fulli ful', positive),
  ...rules('logi log', (_, word) => positive(word.slice(0, -3))),
];
const STEP_3 = rules('icate ic, ative, alize al, iciti ic, ical ic, ful, ness', positive);
const STEP_4 = [
  ...rules('al, ance, ence, er, ic, able, ible, ant, ement, ment, ent', long),
  ...rules('ion', (stem) => long(stem) && 'st'.includes(stem.at(-1)!)),
  ...rules('ou, ism, ate, iti, ous, ive, ize', long),
];
const STEP_5A = rules('e', (stem) => {
  const m = measure(stem);
  return m > 1 || (m === 1 && !endsInShortSyllable(stem));
});
const STEP_5B = rules('ll l', (_, word) => long(word.slice(0, -1)));

function step1a(word: string): string {
  return word.length === 4 && word.endsWith('ies') ? word.slice(0, -1) : apply(word, STEP_1A);
}

function step1b(word: string): string {
  if (word.endsWith('ied')) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith('eed')) return positive(word.slice(0, -3)) ? word.slice(0, -1) : word;
  const suffix = ['ed', 'ing'].find((ending) => word.endsWith(ending));
  if (suffix === undefined) return word;
  const stem = word.slice(0, -suffix.length);
  if (!hasVowel(stem)) return word;
  const restored = apply(stem, STEP_1B);
  if (restored !== stem) return restored;
  if (endsInDoubleConsonant(stem)) return 'lsz'.includes(stem.at(-1)!) ? stem : stem.slice(0, -1);
  return measure(stem) === 1 && endsInShortSyllable(stem) ? `${stem}e` : stem;
}

function step2(word: string): string {
  if (word.endsWith('alli') && positive(word.slice(0, -4))) return step2(word.slice(0, -2));
  return apply(word, STEP_2);
}

/** Stem of a lower-case word: `opacities` gives `opac`. Words of one or two letters stay. */
export function porterStem(word: string): string {
  const irregular = IRREGULAR.get(word);
  if (irregular !== undefined) return irregular;
  if (word.length <= 2) return word;
  const base = apply(step1b(step1a(word)), STEP_1C);
  return [STEP_3, STEP_4, STEP_5A, STEP_5B].reduce(apply, step2(base));
}
