/**
 * Parser of mathematical expressions as people write them.
 *
 * It is recursive descent over the grammar of sympy's `parse_expr` with implicit multiplication, which the released
 * grader uses. No parser of a computer algebra package splits names and applies functions as that one does.
 */
import { attempt } from '../errors.ts';
import type { Form } from './options.ts';

/** Binary operators. */
type Operator = '+' | '-' | '*' | '/' | '^';

/** Expression of numbers, unknowns and functions. */
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

/** Names of functions that an expression may apply. */
export const FUNCTIONS: ReadonlySet<string> = new Set([
  ...['sqrt', 'root', 'ln', 'log', 'exp', 'sin', 'cos', 'tan', 'cot', 'sec', 'csc'],
]);

/** Names of several letters that are one unknown or one constant, not a product of letters. */
const WHOLE_NAMES: ReadonlySet<string> = new Set(['pi', 'mu', 'nu', 'xi', 'oo', 'zoo', 'nan']);

/** Short names that the released grader takes for keywords of Python or functions of sympy. */
const TAKEN_NAMES: ReadonlySet<string> = new Set([
  ...['as', 'if', 'in', 'is', 'or', 'all', 'id', 'gff', 'ff', 'rf', 're', 'im', 'frac', 'li'],
  ...['jn', 'yn', 'hn1', 'hn2', 'fft', 'ntt', 'fu', 'eye'],
]);

const NAME_OR_MARK = String.raw`(?<name>[\p{L}_][\p{L}\p{N}_]*)|(?<mark>\*\*|!+|[-+*/^()!,])`;
const DIGITS = String.raw`\d(?:_?\d)*`;

const TOKENS: Readonly<Record<Form, RegExp>> = {
  repaired: tokenPattern(String.raw`(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?`),
  // Numbers of Python: imaginary, of other bases, with underscores. An integer does not begin with a zero.
  faithful: tokenPattern(
    String.raw`0(?:x[\da-f]+|b[01]+|o[0-7]+)|(?:${DIGITS}\.(?:${DIGITS})?|\.${DIGITS})(?:e[+-]?${DIGITS})?j?` +
      String.raw`|${DIGITS}(?:e[+-]?${DIGITS}j?|j)|0(?:_?0)*|[1-9](?:_?\d)*`,
  ),
};

function tokenPattern(number: string): RegExp {
  return new RegExp(String.raw`[ \t\f\r\n]*(?:(?<number>${number})|${NAME_OR_MARK})`, 'uy');
}

interface Token {
  /** A letter is one factor of a name of several letters. */
  readonly kind: 'number' | 'name' | 'letter' | 'mark';
  readonly text: string;
}

const mark = (text: string): Token => ({ kind: 'mark', text });

/** Bounds of an expression. Larger or more deeply nested ones are refused. */
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
      // `ab!` is the factorial of the product, but `ab^2` squares only b.
      const isWhole = factors.length === 1 || text[pattern.lastIndex] !== '!';
      tokens.push(...(isWhole ? factors : [mark('('), ...factors, mark(')')]));
    }
    if (tokens.length > MAX_TOKENS) return null;
  }
  return tokens;
}

/** Factors of a name: `x2y` is x times 2 times y, `x_1` is one unknown. Null for a name that is refused. */
function factorsOf(name: string, form: Form): Token[] | null {
  if (form === 'faithful' && TAKEN_NAMES.has(name)) return null;
  if (WHOLE_NAMES.has(name) || FUNCTIONS.has(name) || name.includes('_')) {
    return [{ kind: 'name', text: name }];
  }
  const parts = name.match(/\d+|[^\d]/gu) ?? [];
  if (parts.length === 1) return [{ kind: 'name', text: name }];
  // Faithful: superscripts, subscripts, digits of other scripts and `05` become invalid numbers.
  if (form === 'faithful' && parts.some((part) => /^[²³¹⁰-₉]|^0\d|^\D$(?<=\p{Nd})/u.test(part))) {
    return null;
  }
  return parts.map((part) => ({ kind: /^\d/.test(part) ? 'number' : 'letter', text: part }));
}

/**
 * Parses an expression: `2x(x+1)` and `3sqrt(2)/2` multiply, `xy` is two unknowns, `x_1` is one.
 *
 * @param form faithful, numbers are those of Python, and some short names are refused as keywords
 * @returns null if the text is no expression
 */
export function parseExpression(text: string, form: Form): Expression | null {
  const tokens = tokensOf(text, form);
  return tokens && attempt(() => new Parser(tokens, form).whole());
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #form: Form;
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[], form: Form) {
    this.#tokens = tokens;
    this.#form = form;
  }

  /** The tree of all tokens. @throws where they are no expression */
  whole(): Expression {
    const tree = this.#sum();
    return this.#at === this.#tokens.length ? tree : this.#fail();
  }

  #sum(): Expression {
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
      // Faithful: in `n(n-1)!` the released grader takes n for a function, and fails.
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

  /** Function applied to a group or a number, or a power of it: `ln(2)`, `ln.5`, `ln^2(3)`. */
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

  /** Items up to the closing parenthesis. The opening one is already taken. */
  #group(count = 1): Expression[] {
    if (++this.#depth > MAX_DEPTH) this.#fail();
    const items = [this.#sum()];
    while (items.length < count && this.#take(',') !== undefined) items.push(this.#sum());
    this.#depth--;
    if (this.#take(')') === undefined || items.length !== count) this.#fail();
    return items;
  }

  #beginsFactor(): boolean {
    const token = this.#tokens[this.#at];
    if (token === undefined) return false;
    // Repaired: two adjacent numbers are no product.
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

  #fail(): never {
    throw new Error('no expression');
  }
}

/** Number; an imaginary one is its part before the `j` times the root of -1. */
function numberOf(text: string): Expression {
  const plain = text.replaceAll('_', '');
  if (!plain.endsWith('j')) return { kind: 'number', text: plain };
  const left: Expression = { kind: 'number', text: plain.slice(0, -1) };
  const root: Expression = { kind: 'call', name: 'sqrt', args: [{ kind: 'number', text: '-1' }] };
  return { kind: 'binary', operator: '*', left, right: root };
}
