/**
 * LaTeX as plain text, by the rules of pylatexenc's `LatexNodes2Text`, which the released grader uses.
 *
 * Parsers of LaTeX for JavaScript, such as unified-latex, end at a syntax tree. The text of its nodes, which has to be
 * pylatexenc's to the character, would still be made here.
 */
import type { Form } from './options.ts';
import { isSpace, trimSpace } from '../text/whitespace.ts';

/** Plain text of LaTeX commands that take no argument. It covers the commands in answers to questions of mathematics. */
const SYMBOLS: Readonly<Record<string, string>> = {
  ...symbols(`
    alpha α  beta β  gamma γ  delta δ  epsilon ϵ  varepsilon ε  zeta ζ  eta η  theta θ  vartheta ϑ  iota ι
    kappa κ  lambda λ  mu μ  nu ν  xi ξ  rho ρ  sigma σ  tau τ  upsilon υ  phi ϕ  varphi φ  chi χ  psi ψ
    omega ω  Gamma Γ  Delta Δ  Theta Θ  Lambda Λ  Xi Ξ  Pi Π  Sigma Σ  Phi Φ  Psi Ψ  Omega Ω  pi pi  infty inf
    cup U  cdot *  times *  cap ∩  div ÷  pm ±  mp ∓  le ≤  leq ≤  ge ≥  geq ≥  ne ≠  neq ≠  approx ≈  sim ∼
    equiv ≡  in ∈  notin ∉  subset ⊂  subseteq ⊆  emptyset ∅  to →  rightarrow →  Rightarrow ⇒  ldots …  dots …
    cdots ⋯  circ ∘  degree °  angle ∠  perp ⊥  parallel ∥  mid |  vert |  lvert |  rvert |  lfloor ⌊  rfloor ⌋
    lceil ⌈  rceil ⌉  langle ⟨  rangle ⟩  sum ∑  prod ∏  int ∫  partial ∂  nabla ∇  ast ∗  star ⋆  bullet ∙
    prime '  setminus ∖  forall ∀  exists ∃  neg ¬
  `),
  ...Object.fromEntries(
    'sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lim max min gcd det deg dim ker sup inf'
      .split(' ')
      .map((name) => [name, name]),
  ),
  ' ': ' ',
  ';': ' ',
  ':': ' ',
  quad: ' ',
  qquad: '  ',
  '\\': '\n',
  '{': '{',
  '}': '}',
  $: '$',
  '%': '%',
  '&': '&',
  '#': '#',
  _: '_',
};

/** Parses pairs of a command and its text, all between white space. */
function symbols(pairs: string): Record<string, string> {
  const words = pairs.trim().split(/\s+/);
  return Object.fromEntries(
    words.flatMap((word, i) => (i % 2 === 0 ? [[word, words[i + 1]!]] : [])),
  );
}

/** Character sequences that LaTeX typesets as one character. */
const LIGATURES: Readonly<Record<string, string>> = {
  '---': '—',
  '--': '–',
  "''": '”',
  '``': '“',
  '!`': '¡',
  '?`': '¿',
};
const LIGATURE = /^(?:---|--|''|``|[!?]`)/;

/** Combining marks of accent commands. */
const ACCENTS: Readonly<Record<string, string>> = {
  hat: '\u0302',
  tilde: '\u0303',
  bar: '\u0305',
  dot: '\u0307',
  ddot: '\u0308',
  vec: '\u20d7',
};

/** Blackboard letters that Unicode has outside their alphabet, because they are older. */
const BLACKBOARD: Readonly<Record<string, string>> = {
  C: 'ℂ',
  H: 'ℍ',
  N: 'ℕ',
  P: 'ℙ',
  Q: 'ℚ',
  R: 'ℝ',
  Z: 'ℤ',
};

/** First code points of mathematical alphabets: capitals, small letters, digits. */
const ALPHABETS: Readonly<Record<string, readonly [number, number, number]>> = {
  mathbf: [0x1d400, 0x1d41a, 0x1d7ce],
  mathbb: [0x1d538, 0x1d552, 0x1d7d8],
};

/** Text in a mathematical alphabet. */
function styled(text: string, alphabet: string): string {
  const [capitals, small, digits] = ALPHABETS[alphabet]!;
  return text.replace(/[A-Za-z0-9]/g, (letter) => {
    if (alphabet === 'mathbb' && Object.hasOwn(BLACKBOARD, letter)) return BLACKBOARD[letter]!;
    const code = letter.charCodeAt(0);
    if (code >= 97) return String.fromCodePoint(small + code - 97);
    return String.fromCodePoint(code >= 65 ? capitals + code - 65 : digits + code - 48);
  });
}

/** Commands that disappear with their one argument. */
const SWALLOWED: ReadonlySet<string> = new Set(['mbox', 'hspace', 'vspace', 'label']);

/**
 * Converts LaTeX to the plain text that expressions are parsed from: `2\sqrt{3}\pi` becomes `2sqrt(3)pi`.
 *
 * @param form faithful, a fraction is its two sides with a slash between them; repaired, a side that is more than one
 *   letter or number gets parentheses, and so does the fraction, and bold letters are plain ones
 * @returns null if the text ends in a root of nothing
 */
export function latexToText(latex: string, form: Form): string | null {
  const reader = new Reader(latex.replace(/\\[td]?frac/g, ' \\frac'), form);
  const text = reader.whole();
  return text === null ? null : trimSpace(text);
}

class Reader {
  readonly #text: string;
  readonly #form: Form;
  #at = 0;
  #isCut = false;

  constructor(text: string, form: Form) {
    this.#text = text;
    this.#form = form;
  }

  /** Text of the whole source. Unmatched closing braces are dropped. */
  whole(): string | null {
    let out = '';
    while (this.#at < this.#text.length) out += this.#group();
    return this.#isCut ? null : out;
  }

  /** Text up to the brace that closes the group, or to the end. */
  #group(): string {
    let out = '';
    while (this.#at < this.#text.length) {
      if (this.#text[this.#at] === '}') {
        this.#at++;
        break;
      }
      out += this.#next();
    }
    return out;
  }

  #next(): string {
    const character = String.fromCodePoint(this.#text.codePointAt(this.#at)!);
    this.#at += character.length;
    if (character === '\\') return this.#command();
    if (character === '{') return this.#group();
    const start = this.#at - character.length;
    const ahead = this.#form === 'faithful' ? this.#text.slice(start, start + 3) : '';
    const ligature = LIGATURE.exec(ahead)?.[0];
    if (ligature !== undefined) {
      this.#at += ligature.length - 1;
      return LIGATURES[ligature]!;
    }
    return character === '~' ? '\u00a0' : character;
  }

  /** Argument of a command: a group, a command, or one character; undefined at the end of the text. */
  #givenArgument(): string | undefined {
    this.#skipSpace();
    if (this.#text[this.#at] === undefined) return undefined;
    if (this.#text[this.#at] === '}') return '';
    if (!this.#text.startsWith('\\', this.#at)) return this.#next();
    this.#at++;
    return this.#alone(this.#name());
  }

  #argument(): string {
    return this.#givenArgument() ?? '';
  }

  /** Text of a command without arguments. A command that is itself an argument gets none. */
  #alone(name: string): string {
    if (name === 'frac') return '%s/%s';
    if (name === 'sqrt') return 'sqrt()';
    // Repaired: a thin space separates thousands, so it is dropped.
    if (name === ',') return this.#form === 'faithful' ? ' ' : '';
    return Object.hasOwn(SYMBOLS, name) ? SYMBOLS[name]! : '';
  }

  #skipSpace(): void {
    while (isSpace(this.#text[this.#at] ?? '')) this.#at++;
  }

  #name(): string {
    const name = /^(?:[a-zA-Z]+|[^])/u.exec(this.#text.slice(this.#at))?.[0] ?? '';
    this.#at += name.length;
    if (/^[a-zA-Z]/.test(name)) this.#skipSpace();
    return name;
  }

  #command(): string {
    const name = this.#name();
    if (name === 'frac') return this.#fraction();
    if (name === 'sqrt') return this.#root();
    if (name === 'begin' || name === 'end') return this.#environment(name);
    if (Object.hasOwn(ALPHABETS, name)) {
      return this.#form === 'faithful' ? styled(this.#argument(), name) : this.#argument();
    }
    if (SWALLOWED.has(name)) {
      this.#argument();
      return '';
    }
    if (Object.hasOwn(ACCENTS, name)) return this.#argument() + ACCENTS[name]!;
    if (name === 'left' || name === 'right') return this.#delimiter();
    return this.#alone(name);
  }

  #delimiter(): string {
    if (this.#at === this.#text.length) return '';
    const next = this.#next();
    return next === '.' && this.#form === 'repaired' ? '' : next;
  }

  #fraction(): string {
    const given = [this.#givenArgument(), this.#givenArgument()];
    const sides = given.filter((side) => side !== undefined);
    // Faithful: a fraction that lacks a side leaves the unfilled pattern.
    if (sides.length < 2 && this.#form === 'faithful') return `%s/%s${sides.join('')}`;
    const safe = sides.map((side) =>
      this.#form === 'faithful' || /^(?:[0-9.]+|\p{L})$/u.test(side) ? side : `(${side})`,
    );
    const whole = safe.join('/');
    return this.#form === 'faithful' || !whole.includes('(') ? whole : `(${whole})`;
  }

  #root(): string {
    this.#skipSpace();
    if (this.#text[this.#at] === '[') {
      const end = this.#text.indexOf(']', this.#at);
      const index = end < 0 ? '' : trimSpace(this.#text.slice(this.#at + 1, end));
      this.#at = end < 0 ? this.#text.length : end + 1;
      const radicand = this.#radicand();
      // Faithful: the index of a root is lost.
      if (this.#form === 'repaired' && index !== '' && index !== '2') {
        return `root(${index},${radicand})`;
      }
      return `sqrt(${radicand})`;
    }
    return `sqrt(${this.#radicand()})`;
  }

  #radicand(): string {
    const given = this.#givenArgument();
    if (given === undefined) this.#isCut = true;
    return given ?? '';
  }

  /** Text of an environment. A matrix becomes rows between semicolons; of others the content stays. */
  #environment(kind: 'begin' | 'end'): string {
    const name = this.#argument();
    if (kind === 'end' || !/matrix|array/.test(name)) return '';
    if (name === 'array') this.#argument();
    const end = this.#text.indexOf(`\\end{${name}}`, this.#at);
    const stop = end < 0 ? this.#text.length : end;
    const inside = new Reader(this.#text.slice(this.#at, stop), this.#form).whole() ?? '';
    this.#at = Math.min(this.#text.length, stop + `\\end{${name}}`.length);
    const rows = inside.split('\n').map((row) => row.split('&').map(trimSpace).join(' '));
    return `[ ${rows.join('; ')} ]`;
  }
}
