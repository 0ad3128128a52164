import type { Form } from './options.ts';

/** Operators by what they are called in a tree. */
type Operator = '+' | '-' | '*' | '/' | '^';

/** An expression of numbers, unknowns and functions. */
export type Expression =
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'unknown'; readonly name: string }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }
  | { readonly kind: 'negative'; readonly of: Expression }
  | {
      readonly kind: 'binary';
      readonly operator: Operator;
      readonly left: Expression;
      readonly right: Expression;
    };

/** Names that take what follows them as their argument. */
export const FUNCTIONS: ReadonlySet<string> = new Set([
  ...['sqrt', 'root', 'ln', 'log', 'exp', 'sin', 'cos', 'tan', 'cot', 'sec', 'csc'],
]);

/** Names that are one unknown or one constant, though written with several letters. */
const WHOLE_NAMES: ReadonlySet<string> = new Set(['pi', 'mu', 'nu', 'xi', 'oo', 'zoo', 'nan']);

/** Names of one or two letters that mean something else to the original: words of Python, functions of sympy. */
const TAKEN_NAMES: ReadonlySet<string> = new Set([
  ...['as', 'if', 'in', 'is', 'or', 'all', 'id', 'gff', 'ff', 'rf', 're', 'im', 'frac', 'li'],
  ...['jn', 'yn', 'hn1', 'hn2', 'fft', 'ntt', 'fu', 'eye'],
]);

const NAME_OR_MARK = String.raw`(?<name>[\p{L}_][\p{L}\p{N}_]*)|(?<mark>\*\*|!+|[-+*/^()!,])`;
const DIGITS = String.raw`\d(?:_?\d)*`;

const TOKENS: Readonly<Record<Form, RegExp>> = {
  repaired: tokenPattern(String.raw`(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?`),
  // The numbers of Python: imaginary ones, of other bases, with underscores; a zero does not begin an integer.
  faithful: tokenPattern(
    String.raw`0(?:x[\da-f]+|b[01]+|o[0-7]+)|(?:${DIGITS}\.(?:${DIGITS})?|\.${DIGITS})(?:e[+-]?${DIGITS})?j?` +
      String.raw`|${DIGITS}(?:e[+-]?${DIGITS}j?|j)|0(?:_?0)*|[1-9](?:_?\d)*`,
  ),
};

function tokenPattern(number: string): RegExp {
  return new RegExp(String.raw`[ \t\f\r\n]*(?:(?<number>${number})|${NAME_OR_MARK})`, 'uy');
}

interface Token {
  /** A letter is a part of a name. */
  readonly kind: 'number' | 'name' | 'letter' | 'mark';
  readonly text: string;
}

const mark = (text: string): Token => ({ kind: 'mark', text });

/** Longer or more deeply nested than this, a text is not taken for an answer. */
const MAX_TOKENS = 400;
const MAX_DEPTH = 60;

function tokensOf(text: string, form: Form): Token[] | null {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKENS[form]);
  while (pattern.lastIndex < text.length) {
    const groups = pattern.exec(text)?.groups;
    if (groups === undefined) return null;
    if (groups['number'] !== undefined) tokens.push({ kind: 'number', text: groups['number'] });
    else if (groups['mark'] !== undefined) tokens.push(mark(groups['mark'].replace('**', '^')));
    else {
      const factors = factorsOf(groups['name']!, form);
      if (factors === null) return null;
      // A factorial is one of the whole name, a power only of its last letter.
      const isWhole = factors.length === 1 || text[pattern.lastIndex] !== '!';
      tokens.push(...(isWhole ? factors : [mark('('), ...factors, mark(')')]));
    }
    if (tokens.length > MAX_TOKENS) return null;
  }
  return tokens;
}

/** The unknowns and numbers that a name is the product of: `x2y` is x times 2 times y, `x_1` one unknown. */
function factorsOf(name: string, form: Form): Token[] | null {
  if (form === 'faithful' && TAKEN_NAMES.has(name)) return null;
  if (WHOLE_NAMES.has(name) || FUNCTIONS.has(name) || name.includes('_')) {
    return [{ kind: 'name', text: name }];
  }
  const parts = name.match(/\d+|[^\d]/gu) ?? [];
  if (parts.length === 1) return [{ kind: 'name', text: name }];
  // Faithful: raised and lowered digits, those of other scripts and `05` are read as numbers, which they are not.
  if (form === 'faithful' && parts.some((part) => /^[²³¹⁰-₉]|^0\d|^\D$(?<=\p{Nd})/u.test(part))) {
    return null;
  }
  return parts.map((part) => ({ kind: /^\d/.test(part) ? 'number' : 'letter', text: part }));
}

/**
 * Reads an expression as people write it: `2x(x+1)` and `3sqrt(2)/2` multiply, `xy` is two unknowns, `x_1` is one.
 *
 * @param form faithful, the numbers are those of Python, and some short names are words of its own
 * @returns null for what is no expression
 */
export function parseExpression(text: string, form: Form): Expression | null {
  const tokens = tokensOf(text, form);
  if (tokens === null || tokens.length === 0) return null;
  const parser = new Parser(tokens, form);
  const tree = parser.sum();
  return parser.isDone ? tree : null;
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #form: Form;
  #at = 0;
  #depth = 0;
  #failed = false;

  constructor(tokens: readonly Token[], form: Form) {
    this.#tokens = tokens;
    this.#form = form;
  }

  get isDone(): boolean {
    return !this.#failed && this.#at === this.#tokens.length;
  }

  sum(): Expression {
    let left = this.#product();
    for (;;) {
      const operator = this.#take('+') ?? this.#take('-');
      if (operator === undefined) return left;
      left = { kind: 'binary', operator, left, right: this.#product() };
    }
  }

  #product(): Expression {
    let left = this.#signed();
    for (;;) {
      const operator = this.#take('*') ?? this.#take('/');
      if (operator !== undefined) {
        left = { kind: 'binary', operator, left, right: this.#signed() };
      } else if (this.#beginsFactor()) {
        left = { kind: 'binary', operator: '*', left, right: this.#power() };
      } else {
        return left;
      }
    }
  }

  #signed(): Expression {
    if (++this.#depth > MAX_DEPTH) return this.#fail();
    let result: Expression;
    if (this.#take('-') !== undefined) result = { kind: 'negative', of: this.#signed() };
    else if (this.#take('+') !== undefined) result = this.#signed();
    else result = this.#power();
    this.#depth--;
    return result;
  }

  #power(): Expression {
    const base = this.#postfix();
    if (this.#take('^') === undefined) return base;
    return { kind: 'binary', operator: '^', left: base, right: this.#signed() };
  }

  #postfix(): Expression {
    const isAfterName = this.#is('(') && this.#tokens[this.#at - 1]?.kind === 'name';
    let result = this.#atom();
    for (;;) {
      const isSingle = this.#take('!') !== undefined;
      if (!isSingle && this.#take('!!') === undefined) return result;
      // Faithful: `n(n-1)!` is a function times a number, which is nothing.
      if (isAfterName && this.#form === 'faithful') return this.#fail();
      result = { kind: 'call', name: isSingle ? 'factorial' : 'factorial2', args: [result] };
    }
  }

  #atom(): Expression {
    const token = this.#tokens[this.#at];
    if (token === undefined) return this.#fail();
    this.#at++;
    if (token.kind === 'number') return numberOf(token.text);
    if (token.kind === 'name' && FUNCTIONS.has(token.text)) return this.#applied(token.text);
    if (token.kind !== 'mark') return { kind: 'unknown', name: token.text };
    if (token.text !== '(') return this.#fail();
    return this.#group()[0]!;
  }

  /** A function of a group, of a number, or the power of one: `ln(2)`, `ln.5`, `ln^2(3)`. */
  #applied(name: string): Expression {
    if (this.#take('(') !== undefined) {
      return { kind: 'call', name, args: this.#group(name === 'root' ? 2 : 1) };
    }
    if (this.#tokens[this.#at]?.kind === 'number') {
      return { kind: 'call', name, args: [this.#power()] };
    }
    if (this.#take('^') === undefined || this.#tokens[this.#at]?.kind !== 'number') {
      return this.#fail();
    }
    const right = this.#atom();
    if (!this.#is('(')) return this.#fail();
    return { kind: 'binary', operator: '^', left: this.#applied(name), right };
  }

  /** What stands in parentheses, the first of which was taken. */
  #group(count = 1): Expression[] {
    if (++this.#depth > MAX_DEPTH) return [this.#fail()];
    const items = [this.sum()];
    while (items.length < count && this.#take(',') !== undefined) items.push(this.sum());
    this.#depth--;
    if (this.#take(')') === undefined || items.length !== count) this.#fail();
    return items;
  }

  #beginsFactor(): boolean {
    const token = this.#tokens[this.#at];
    if (token === undefined) return false;
    // Repaired: two numbers side by side are none.
    if (token.kind === 'number') {
      return this.#form === 'faithful' || this.#tokens[this.#at - 1]?.kind !== 'number';
    }
    return token.kind !== 'mark' || token.text === '(';
  }

  #is(mark: string): boolean {
    const token = this.#tokens[this.#at];
    return token?.kind === 'mark' && token.text === mark;
  }

  #take<M extends string>(mark: M): M | undefined {
    if (!this.#is(mark)) return undefined;
    this.#at++;
    return mark;
  }

  #fail(): Expression {
    this.#failed = true;
    this.#at = this.#tokens.length;
    return { kind: 'number', text: '0' };
  }
}

/** A number; of an imaginary one the part before the `j`, times the root of -1. */
function numberOf(text: string): Expression {
  const plain = text.replaceAll('_', '');
  if (!plain.endsWith('j')) return { kind: 'number', text: plain };
  const left: Expression = { kind: 'number', text: plain.slice(0, -1) };
  const root: Expression = { kind: 'call', name: 'sqrt', args: [{ kind: 'number', text: '-1' }] };
  return { kind: 'binary', operator: '*', left, right: root };
}
