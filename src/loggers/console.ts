/** Metrics and answers as text, with numbers as Python prints them, and the logger that writes them to the console. */
import { toYaml } from '../config/yaml.ts';
import type { Metrics } from '../metrics.ts';
import type { Generation, MetricLogger, RunDescription } from './logger.ts';
import { nested, type Nested } from './nesting.ts';

/** Form of a step: all its metrics, which this logger writes, or a line of a table, which the command's output shows. */
export type ConsoleForm = 'metrics' | 'table';

/**
 * Logger that writes the config first, then for every step its number and its metrics as a tree.
 *
 * Keys are in alphabetical order. Beside a table it writes only the answers of validations.
 */
export class ConsoleLogger implements MetricLogger {
  readonly #write: (text: string) => void;
  readonly #form: ConsoleForm;

  /** @param write takes text of one or more lines, the last without its line feed */
  constructor({ config }: RunDescription, write: (text: string) => void, form: ConsoleForm) {
    this.#write = write;
    this.#form = form;
    if (form === 'metrics') write(`Config\n${toYaml(config)}`);
  }

  log(step: number, metrics: Metrics): void {
    if (this.#form === 'table') return;
    this.#write(`Step ${step}\n${treeLines(nested(metrics), '').join('\n')}`);
  }

  logGenerations(_step: number, generations: readonly Generation[]): void {
    this.#write(generations.map(labelledLines).join('\n'));
  }
}

/** The four labelled lines of an answer, each with its line feed. */
export function labelledLines({ input, output, label, score }: Generation): string {
  return `[prompt] ${input}\n[output] ${output}\n[ground_truth] ${label}\n[score] ${floatText(score)}\n`;
}

function treeLines(tree: Nested<number>, indent: string): string[] {
  return Object.keys(tree)
    .sort()
    .flatMap((key) => {
      const value = tree[key]!;
      return typeof value === 'number'
        ? [`${indent}${key}: ${metricText(value)}`]
        : [`${indent}${key}:`, ...treeLines(value, `${indent}  `)];
    });
}

/** A metric with three decimals; a number too small or too large for them keeps its power of ten: `1.0e-06`. */
export function metricText(value: number): string {
  return floatText(isScientific(value) ? value : Number(value.toFixed(3)));
}

/** A float as Python prints it, with `.0` in a mantissa that has no point, as YAML 1.1 wants it. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return '.nan';
  if (!Number.isFinite(value)) return value > 0 ? '.inf' : '-.inf';
  if (!isScientific(value)) return Number.isInteger(value) ? `${value}.0` : String(value);
  const [mantissa = '', exponent = ''] = value.toExponential().split('e');
  const sign = exponent.startsWith('-') ? '-' : '+';
  const whole = mantissa.includes('.') ? mantissa : `${mantissa}.0`;
  return `${whole}e${sign}${exponent.slice(1).padStart(2, '0')}`;
}

/** Tells whether Python prints a float with an exponent. */
function isScientific(value: number): boolean {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e16);
}
