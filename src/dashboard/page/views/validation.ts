/** Validation: right answers by option, precision and recall by finding, and the confusion matrix. */
import type {
  ConfusionMatrix,
  FindingScore,
  ValidationGroup,
  ValidationReport,
} from '../../api-samples.ts';
import { get } from '../client.ts';
import { card, div, element, emptyNote, fill, loading, panel, span, type Content } from '../dom.ts';
import { countText, percentText } from '../format.ts';
import type { Change } from '../session.ts';
import { StepPicker } from '../step-picker.ts';
import { yet } from '../states.ts';
import { cell, numberCell, row, table } from '../table.ts';
import { View } from '../view.ts';
import { plainText, visibleText } from '../visible-text.ts';

const HINT =
  'trainer.validation_data_dir=validations keeps every answer, and then all of them count here.';
/** Longest name of a column, in characters, for which the names are not turned. */
const MOST_UPRIGHT = 4;

export class Validation extends View {
  override readonly picker = new StepPicker(() => this.show());
  readonly #content = element('div', {}, emptyNote(loading));
  readonly element = div('validation', div('toolbar', this.picker.element), this.#content);

  show(): void {
    this.fetchOfFocus(async (focus, signal) => {
      const query = { step: this.picker.wanted };
      const report = await get<ValidationReport | null>(
        `runs/${focus.id}/validation`,
        query,
        signal,
      );
      this.picker.show(report?.steps ?? [], report?.step ?? null);
      fill(
        this.#content,
        report === null || report.answers === 0
          ? emptyNote(`${yet('No answers of a validation', focus)} ${HINT}`)
          : reportContent(report),
      );
    });
  }

  update(change: Change): void {
    if (change.type !== 'grown' || change.what !== 'validation') return;
    if (change.run === this.session.focus?.id) this.show();
  }
}

function reportContent(report: ValidationReport): Content {
  const { answers, right, processAccuracy, isWhole, options, findings, matrix } = report;
  const note = isWhole
    ? null
    : element(
        'p',
        { className: 'note' },
        `These are only the answers that trainer.val_generations_to_log chose. ${HINT}`,
      );
  return [
    note,
    div(
      'cards',
      card(
        'Right answers',
        percentText(right / answers),
        `${countText(right)} of ${countText(answers)}`,
      ),
      processAccuracy === null
        ? null
        : card('Steps judged rightly', percentText(processAccuracy), 'marked steps of reasoning'),
    ),
    div(
      'columns',
      options.length === 0 ? null : panel('By option', optionTable(options)),
      findings.length === 0 ? null : panel('By finding', findingTable(findings)),
      matrix.rows.length === 0 ? null : panel('Confusion matrix', heatMap(matrix)),
    ),
  ];
}

function optionTable(groups: readonly ValidationGroup[]): HTMLElement {
  const rows = groups.map(({ name, answers, right }) => {
    const share = answers === 0 ? 0 : right / answers;
    return row(visibleText(name), [
      bar(share),
      numberCell(percentText(share)),
      numberCell(`${countText(right)} of ${countText(answers)}`),
    ]);
  });
  return table('shares', ['Option', '', { number: 'Right' }, { number: 'Answers' }], rows);
}

function findingTable(findings: readonly FindingScore[]): HTMLElement {
  const rows = findings.map(({ name, hits, falseAlarms, misses, precision, recall, f1 }) =>
    row(visibleText(name), [
      bar(f1 ?? 0),
      ...[f1, precision, recall].map((value) => numberCell(value?.toFixed(3) ?? '–')),
      ...[hits, misses, falseAlarms].map((count) => numberCell(countText(count))),
    ]),
  );
  const numbers = ['F1', 'Precision', 'Recall', 'Hits', 'Misses', 'False alarms'];
  const heads = ['Finding', '', ...numbers.map((number) => ({ number }))];
  return table('shares', heads, rows);
}

/**
 * A matrix whose cells have their number, and the colour of their share of the row: one colour on the diagonal, where
 * response and reference agree, another beside it.
 */
function heatMap({ rows, columns, counts }: ConfusionMatrix): Content {
  const heads = columns.map((name) =>
    element('span', { className: 'column-name', title: plainText(name) }, visibleText(name)),
  );
  const body = rows.map((name, i) => {
    const sum = counts[i]!.reduce((total, count) => total + count, 0);
    const cells = columns.map((said, j) => heatCell(counts[i]![j]!, sum, { name, said }));
    return row(visibleText(name), cells);
  });
  const isWide = columns.some((name) => name.length > MOST_UPRIGHT);
  const matrix = table(
    `heat-map ${isWide ? 'wide' : ''}`,
    ['Reference ↓ response →', ...heads],
    body,
  );
  matrix.tabIndex = 0;
  matrix.setAttribute('role', 'region');
  matrix.setAttribute('aria-label', 'Confusion matrix');
  const key = element(
    'p',
    { className: 'soft heat-key' },
    'Answers, and the share of their row:',
    element('span', {}, span('swatch agrees'), 'right'),
    element('span', {}, span('swatch differs'), 'something else'),
  );
  return [key, matrix];
}

function heatCell(
  count: number,
  sum: number,
  { name, said }: { readonly name: string; readonly said: string },
): HTMLElement {
  const share = sum === 0 ? 0 : count / sum;
  return element(
    'td',
    {
      className: name === said ? 'agrees' : 'differs',
      title: plainText(`${name} as ${said}: ${countText(count)}, ${percentText(share)} of the row`),
      style: { '--share': share.toFixed(3) },
    },
    count === 0 ? '·' : countText(count),
  );
}

/** A cell with a share as a bar. */
function bar(share: number): HTMLElement {
  const drawn = element('i', {
    style: { '--share': share.toFixed(3) },
    attributes: { 'aria-hidden': true },
  });
  const made = cell(drawn);
  made.className = 'bar';
  return made;
}
