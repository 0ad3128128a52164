/** Validation: right answers by option, findings by precision and recall, and what was taken for what. */
import type {
  ConfusionMatrix,
  FindingScore,
  ValidationGroup,
  ValidationReport,
} from '../../api-samples.ts';
import { getOrNull } from '../client.ts';
import { element, emptyNote, fill, loading, panel, type Content } from '../dom.ts';
import { countText, numberText, percentText } from '../format.ts';
import type { Change } from '../session.ts';
import { StepPicker } from '../step-picker.ts';
import { Latest } from '../tasks.ts';
import type { View, ViewContext } from '../view.ts';
import { plainText, visibleText } from '../visible-text.ts';

export function validation(context: ViewContext): View {
  return new Validation(context);
}

class Validation implements View {
  readonly element: HTMLElement;
  readonly #context: ViewContext;
  readonly #fetching: Latest;
  readonly #picker = new StepPicker(() => this.show());
  readonly #content = element('div', {}, emptyNote(loading));

  constructor(context: ViewContext) {
    this.#context = context;
    this.#fetching = new Latest(context.failed);
    this.element = element(
      'div',
      { className: 'validation' },
      element('h1', { className: 'hidden' }, 'Validation'),
      element('div', { className: 'toolbar' }, this.#picker.element),
      this.#content,
    );
  }

  show(): void {
    const { focus } = this.#context.session;
    if (focus === null) return;
    this.#fetching.start(async (signal) => {
      const query = { step: this.#picker.wanted };
      const report = await getOrNull<ValidationReport>(
        `runs/${focus.id}/validation`,
        query,
        signal,
      );
      this.#picker.show(report?.steps ?? [], report?.step ?? null);
      fill(
        this.#content,
        report === null || report.answers === 0
          ? emptyNote('No answers of a validation were recorded yet.')
          : reportContent(report),
      );
    });
  }

  update(change: Change): void {
    if (change.type !== 'grown' || change.what !== 'validation') return;
    if (change.run === this.#context.session.focus?.id) this.show();
  }

  turn(by: -1 | 1): void {
    this.#picker.turn(by);
  }
}

function reportContent(report: ValidationReport): Content {
  const { answers, right, processAccuracy, isWhole, options, findings, matrix } = report;
  const note = isWhole
    ? null
    : element(
        'p',
        { className: 'note' },
        'These are the answers that were chosen to be shown. With trainer.validation_data_dir every answer counts here.',
      );
  return [
    note,
    element(
      'div',
      { className: 'cards' },
      card('Right', percentText(right / answers), `${countText(right)} of ${countText(answers)}`),
      processAccuracy === null
        ? null
        : card('Steps judged rightly', percentText(processAccuracy), ''),
    ),
    element(
      'div',
      { className: 'columns' },
      options.length === 0 ? null : panel('By option', optionTable(options)),
      findings.length === 0 ? null : panel('By finding', findingTable(findings)),
      matrix.rows.length === 0 ? null : panel('Confusion', heatMap(matrix)),
    ),
  ];
}

function optionTable(groups: readonly ValidationGroup[]): HTMLElement {
  const rows = groups.map(({ name, answers, right }) => {
    const share = answers === 0 ? 0 : right / answers;
    return element(
      'tr',
      {},
      element('th', { scope: 'row' }, visibleText(name)),
      element('td', { className: 'bar' }, bar(share)),
      numberCell(percentText(share)),
      numberCell(`${countText(right)} of ${countText(answers)}`),
    );
  });
  return table(['Option', '', 'Right', 'Answers'], rows);
}

function findingTable(findings: readonly FindingScore[]): HTMLElement {
  const rows = findings.map(({ name, hits, falseAlarms, misses, precision, recall, f1 }) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, visibleText(name)),
      element('td', { className: 'bar' }, bar(f1 ?? 0)),
      [f1, precision, recall].map((value) =>
        numberCell(value === null ? '–' : numberText(Number(value.toFixed(3)))),
      ),
      [hits, misses, falseAlarms].map((count) => numberCell(countText(count))),
    ),
  );
  return table(
    ['Finding', '', 'F1', 'Precision', 'Recall', 'Hits', 'Misses', 'False alarms'],
    rows,
  );
}

/** A matrix whose cells have the colour of their share of the row, and their number. */
function heatMap({ rows, columns, counts }: ConfusionMatrix): Content {
  const head = element(
    'tr',
    {},
    element('td', {}),
    columns.map((name) =>
      element('th', { scope: 'col', title: plainText(name) }, visibleText(name)),
    ),
  );
  const body = rows.map((name, i) => {
    const sum = counts[i]!.reduce((total, count) => total + count, 0);
    const cells = counts[i]!.map((count, j) => heatCell(count, sum, `${name} as ${columns[j]!}`));
    return element('tr', {}, element('th', { scope: 'row' }, visibleText(name)), cells);
  });
  const inside = [element('thead', {}, head), element('tbody', {}, body)];
  const table = element(
    'div',
    {
      className: 'scroll-x',
      tabIndex: 0,
      attributes: { role: 'region', 'aria-label': 'Confusion matrix' },
    },
    element('table', { className: 'heat-map' }, inside),
  );
  const note = 'A row for what the reference has, a column for what the response says.';
  return [element('p', { className: 'soft' }, note), table];
}

function heatCell(count: number, sum: number, words: string): HTMLElement {
  const share = sum === 0 ? 0 : count / sum;
  return element(
    'td',
    {
      title: plainText(`${words}: ${countText(count)}, ${percentText(share)} of the row`),
      style: { '--share': share.toFixed(3) },
    },
    count === 0 ? '·' : countText(count),
  );
}

function bar(share: number): HTMLElement {
  return element('i', {
    style: { '--share': share.toFixed(3) },
    attributes: { 'aria-hidden': true },
  });
}

function numberCell(text: string): HTMLElement {
  return element('td', { className: 'number' }, text);
}

function table(heads: readonly string[], rows: readonly HTMLElement[]): HTMLElement {
  const head = element(
    'tr',
    {},
    heads.map((name) => element('th', { scope: 'col' }, name)),
  );
  return element(
    'div',
    { className: 'scroll-x' },
    element(
      'table',
      { className: 'shares' },
      element('thead', {}, head),
      element('tbody', {}, rows),
    ),
  );
}

function card(name: string, value: string, more: string): HTMLElement {
  return element(
    'div',
    { className: 'card' },
    element('span', { className: 'card-name' }, name),
    element('span', { className: 'card-value' }, value),
    element('span', { className: 'soft' }, more),
  );
}
