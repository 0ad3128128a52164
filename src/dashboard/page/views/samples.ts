/** Samples: the responses of a step in a list, beside one of them in full or all responses to its prompt. */
import type {
  PromptHistory,
  SampleDetail,
  SampleSteps,
  SampleKind,
  SampleListing,
} from '../../api-samples.ts';
import { get } from '../client.ts';
import {
  button,
  div,
  element,
  emptyNote,
  fill,
  loading,
  soft,
  span,
  type Content,
} from '../dom.ts';
import { countText, numberText } from '../format.ts';
import { SamplePages } from './sample-pages.ts';
import type { Change } from '../session.ts';
import { StepPicker } from '../step-picker.ts';
import { Latest, Throttle } from '../tasks.ts';
import { View } from '../view.ts';
import { visibleText } from '../visible-text.ts';
import { WindowedList } from '../windowed-list.ts';
import {
  pictures,
  sampleArticle,
  sampleColumn,
  textBlock,
  withPlainMarks,
  type SampleSource,
} from './sample-detail.ts';

const REFRESH_MS = 1_000;
const ROW_HEIGHT = 52;
/** Responses to a prompt that are fetched at a time. */
const HISTORY_PAGE = 24;

/** Tags of reasoning, which are left out of lines of the list. */
const tags = /<\/?(think|answer)>/gi;

const kindNames: Readonly<Record<SampleKind, string>> = {
  rollout: 'Rollouts',
  validation: 'Validations',
  evaluation: 'Evaluation',
};
const kindsInOrder: readonly SampleKind[] = ['rollout', 'validation', 'evaluation'];

export class Samples extends View {
  /** Fetches pages of the list. */
  readonly #listing = new Latest();
  /** Fetches the content beside the list. */
  readonly #choosing = new Latest();
  readonly #refresh = new Throttle(() => this.show(), REFRESH_MS);
  override readonly picker = new StepPicker(() => this.show());
  readonly #kinds = element('select', {
    attributes: { 'aria-label': 'Kind of samples' },
    on: { change: () => this.#chooseKind() },
  });
  readonly #facts = element('span', { className: 'soft', attributes: { role: 'status' } });
  readonly #list = new WindowedList('Samples', ROW_HEIGHT);
  readonly #detail = element('div', { className: 'detail', tabIndex: -1 });
  readonly #content = element(
    'div',
    { className: 'master-detail', hidden: true },
    this.#list.element,
    this.#detail,
  );
  readonly #empty = div('panel', emptyNote(loading));
  readonly element = div(
    'samples',
    div('toolbar', this.#kinds, this.picker.element, this.#facts),
    this.#empty,
    this.#content,
  );
  /** Kind that the reader chose; null before that. */
  #kind: SampleKind | null = null;
  /** Samples that the list was drawn for; it is drawn again only for other samples. */
  #listed = '';

  update(change: Change): void {
    if (change.type !== 'grown') return;
    if (change.what !== 'samples' && change.what !== 'validation') return;
    if (change.run === this.session.focus?.id) this.#refresh.ask();
  }

  show(): void {
    this.fetchOfFocus(async (focus, signal) => {
      const path = `runs/${focus.id}/samples`;
      let index = await get<SampleSteps>(path, { kind: this.#kind ?? 'rollout' }, signal);
      const [other] = index.kinds;
      // Until the reader chooses a kind, one that the run has samples of is shown.
      if (this.#kind === null && index.steps.length === 0 && other !== undefined) {
        index = await get<SampleSteps>(path, { kind: other }, signal);
      }
      this.#take(focus.id, index);
    });
  }

  #chooseKind(): void {
    this.#kind = this.#kinds.value as SampleKind;
    this.show();
  }

  #take(run: string, index: SampleSteps): void {
    const { kind, kinds, steps, counts, means, hint } = index;
    const options = kindsInOrder.map((each) => {
      const words = `${kindNames[each]}${kinds.includes(each) ? '' : ' (none)'}`;
      return element('option', { value: each, selected: each === kind }, words);
    });
    this.#kinds.replaceChildren(...options);
    const wanted = this.picker.wanted;
    const at = wanted === null ? steps.length - 1 : steps.indexOf(wanted);
    const place = at < 0 ? steps.length - 1 : at;
    const step = steps[place];
    this.picker.show(steps, step ?? null);
    this.#empty.hidden = step !== undefined;
    this.#content.hidden = step === undefined;
    if (step === undefined) {
      this.#listed = '';
      this.#facts.textContent = '';
      fill(this.#empty, emptyNote(`No ${kindNames[kind].toLowerCase()} kept. ${hint ?? ''}`));
      return;
    }
    const [count, mean] = [counts[place]!, means[place]];
    this.#facts.textContent = `${countText(count)} samples, mean score ${numberText(mean)}`;
    const listed = [run, kind, step, count].join();
    if (listed === this.#listed) return;
    this.#listed = listed;
    this.#showStep({ run, kind }, step, count);
  }

  #showStep(source: SampleSource, step: number, count: number): void {
    const pages = new SamplePages({ ...source, step }, this.#listing.renew(), () =>
      this.#list.refresh(),
    );
    this.#list.show({
      count,
      row: (i) => sampleRow(pages.row(i)),
      inSight: (first, last) => pages.need(first, last),
      chosen: (row) => this.#showSample(source, step, row),
    });
    const row = Math.min(this.#list.selected ?? 0, count - 1);
    this.#list.select(row);
    this.#showSample(source, step, row);
  }

  #showSample(source: SampleSource, step: number, row: number): void {
    const { run, kind } = source;
    this.#choosing.start(async (signal) => {
      const query = { kind, step, row };
      const sample = await get<SampleDetail>(`runs/${run}/samples/one`, query, signal);
      const over = button('This prompt over the steps', () => this.#showHistory(source, sample));
      fill(this.#detail, over, sampleArticle(sample, source));
      this.#detail.scrollTop = 0;
    });
  }

  #showHistory(source: SampleSource, sample: SampleDetail): void {
    const columns = element('div', {
      className: 'history',
      tabIndex: 0,
      attributes: { role: 'group', 'aria-label': 'Responses over the steps' },
    });
    const more = button('More', () => this.#addHistory(source, sample, columns, more));
    const back = button('Back to the sample', () =>
      this.#showSample(source, sample.step, sample.row),
    );
    fill(
      this.#detail,
      back,
      element('h2', {}, 'One prompt over the steps'),
      pictures(sample, source),
      textBlock(sample.prompt),
      columns,
      more,
    );
    back.focus();
    this.#addHistory(source, sample, columns, more);
  }

  /** Adds the next responses to a prompt. */
  #addHistory(
    { run, kind }: SampleSource,
    { promptId }: SampleDetail,
    columns: HTMLElement,
    more: HTMLButtonElement,
  ): void {
    this.#choosing.start(async (signal) => {
      const start = columns.childElementCount;
      const query = { kind, prompt: promptId, start, count: HISTORY_PAGE };
      const found = await get<PromptHistory>(`runs/${run}/samples/prompt`, query, signal);
      columns.append(...found.samples.map(sampleColumn));
      const left = found.total - columns.childElementCount;
      more.hidden = left <= 0;
      more.textContent = `${countText(left)} more`;
    });
  }
}

/** A row of the list: score, prompt, response. */
function sampleRow(sample: SampleListing | null): Content {
  if (sample === null) return soft('…');
  const { score, sample: number, prompt, output, pictures: count } = sample;
  return [
    element('span', { className: 'score', title: 'score' }, numberText(score)),
    span(
      'row-texts',
      span('row-output', visibleText(oneLine(withPlainMarks(output).replace(tags, ' ')))),
      span(
        'row-prompt soft',
        element('span', { title: 'response to its prompt' }, `#${number + 1} `),
        count > 0 ? `▣${count > 1 ? count : ''} ` : '',
        visibleText(oneLine(prompt.replaceAll('<image>', ''))),
      ),
    ),
  ];
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
