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

/** Functions with a meaning; any other name before a parenthesis is an unknown. */
export const FUNCTIONS: ReadonlySet<string> = new Set([
  ...['sqrt', 'root', 'ln', 'log', 'exp', 'sin', 'cos', 'tan', 'cot', 'sec', 'csc', 'factorial'],
]);

/** Names that are one letter, though written with several. */
const WHOLE_NAMES: ReadonlySet<string> = new Set(['pi', 'mu', 'nu', 'xi', 'oo', 'zoo', 'nan']);

const TOKEN =
  /[ \t\f\r\n]*(?:(?<number>(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)|(?<name>[\p{L}_][\p{L}\p{N}_]*)|(?<mark>\*\*|[-+*/^()!,]))/uy;

interface Token {
  readonly kind: 'number' | 'name' | 'mark';
  readonly text: string;
}

/** Longer or more deeply nested than this, a text is not taken for an answer. */
const MAX_TOKENS = 400;
const MAX_DEPTH = 60;

function tokensOf(text: string): Token[] | null {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const { number, name, mark } = TOKEN.exec(text)?.groups ?? {};
    if (number !== undefined) tokens.push({ kind: 'number', text: number });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name });
    else if (mark !== undefined) tokens.push({ kind: 'mark', text: mark === '**' ? '^' : mark });
    else return null;
    if (tokens.length > MAX_TOKENS) return null;
  }
  return tokens;
}

/**
 * Reads an expression as people write it: `2x(x+1)` and `3sqrt(2)/2` multiply, `xy` is two unknowns.
 *
 * @param form faithful, a single letter before a parenthesis is a function of it, as in the original, so that `x(x+1)`
 *   is not `x^2+x`; repaired, it multiplies
 * @returns null for what is no expression
 */
export function parseExpression(text: string, form: Form): Expression | null {
  const tokens = tokensOf(text);
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
    let result = this.#atom();
    while (this.#take('!') !== undefined)
      result = { kind: 'call', name: 'factorial', args: [result] };
    return result;
  }

  #atom(): Expression {
    const token = this.#tokens[this.#at];
    if (token === undefined) return this.#fail();
    this.#at++;
    if (token.kind === 'number') {
      // Faithful: an integer with a zero before it is none.
      if (this.#form === 'faithful' && /^0+[1-9]\d*$/.test(token.text)) return this.#fail();
      return { kind: 'number', text: token.text };
    }
    if (token.kind === 'name') return this.#named(token.text);
    if (token.text !== '(') return this.#fail();
    return this.#group()[0]!;
  }

  #named(name: string): Expression {
    const isBeforeGroup = this.#is('(');
    const isFunction =
      FUNCTIONS.has(name) || (this.#form === 'faithful' && Array.from(name).length === 1);
    if (isBeforeGroup && isFunction) {
      this.#at++;
      return { kind: 'call', name, args: this.#group(name === 'root' ? 2 : 1) };
    }
    if (FUNCTIONS.has(name) && !/\d/.test(name)) return this.#fail();
    if (WHOLE_NAMES.has(name)) return { kind: 'unknown', name };
    return productOf(name.match(/\p{N}+|[^\p{N}]/gu) ?? []);
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
    // Two numbers side by side are none.
    if (token.kind === 'number') return this.#tokens[this.#at - 1]?.kind !== 'number';
    return token.kind === 'name' || token.text === '(';
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

/** `x2y` as x times 2 times y. */
function productOf(parts: readonly string[]): Expression {
  const factors = parts.map((part): Expression =>
    /^\d+$/.test(part) ? { kind: 'number', text: part } : { kind: 'unknown', name: part },
  );
  return factors.reduce((left, right) => ({ kind: 'binary', operator: '*', left, right }));
}
