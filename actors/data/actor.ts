import type { DataSources } from '../../src/config/names.ts';
import { openDataset } from '../../src/data/dataset.ts';
import { eachRow, checkSkipped, skippable, type InvalidRows } from '../../src/data/invalid-rows.ts';
import { Lookahead } from '../../src/data/lookahead.ts';
import { filterOverlong } from '../../src/data/overlong.ts';
import { PromptSource, type PromptCursor } from '../../src/data/prompt-source.ts';
import { columnsOf, type DatasetRow, type RowKeys } from '../../src/data/row.ts';
import { heldRows, joinedRows, selectedRows, type RowStore } from '../../src/data/row-store.ts';
import { SampleBuilder, type PromptSample } from '../../src/data/sample.ts';
import { sampleOptions, type SampleSettings } from '../../src/data/sample-options.ts';
import type { CxmindError } from '../../src/errors.ts';
import { patchBytes } from '../../src/tensor/patch-levels.ts';
import { vector } from '../../src/tensor/tensor.ts';
import type { Tool } from '../../src/text/chat-template.ts';
import type { Prompt, Sequence } from '../messages.ts';
import { actorFactory, type Actor, type Environment, type Logger } from '../runtime/actor.ts';
import { pixelPool, pixelProtocol } from './pixels.ts';
import { DataNotes } from './notes.ts';
import { dataProtocol, type DataSummary } from './protocol.ts';

/** Props of the data actor. */
export interface DataProps extends SampleSettings {
  /** Null when only validation is wanted. */
  readonly trainFiles: DataSources | null;
  /** Null when only training is wanted. */
  readonly validationFiles: DataSources | null;
  readonly invalidRows: InvalidRows;
  /** Share of a set's rows that may be skipped; more of them end the run. */
  readonly maxInvalidFraction: number;
  /** `all` makes the prompt of every row at the start, to find the rows that fail. */
  readonly check: 'none' | 'all';
  readonly filterOverlongPrompts: boolean;
  /** Rows that this filter measures at a time. */
  readonly filterConcurrency: number;
  /** Names of the actors that read pixels; without any, the data actor reads them itself. */
  readonly pixelReaders: readonly string[];
  /** Functions that the policy may call, which prompts show. */
  readonly tools: readonly Tool[];
  /** True where prompts go with their pictures: for an environment, a reward model, or to be shown beside responses. */
  readonly withImages: boolean;
  /** Prompts of a training batch. */
  readonly batchSize: number;
  readonly shuffle: boolean;
  readonly seed: number;
}

interface Rows {
  readonly rows: RowStore;
  readonly overlong: number;
  /** All rows that there were. */
  readonly rowCount: number;
  /** Errors by the row's name in messages. */
  readonly skipped: Map<string, CxmindError>;
}

/** Rows of a set from `start` up to `end`, which is not included. */
interface Range {
  readonly start: number;
  readonly end: number;
}

interface DataSets {
  readonly train: Rows;
  readonly validation: Rows;
  readonly notes: DataNotes;
}

const none = (): Rows => ({ rows: heldRows([]), overlong: 0, rowCount: 0, skipped: new Map() });

/** Bytes of pixels to prepare ahead. A whole batch of small pictures fits. */
const AHEAD_BYTES = 2 ** 30;
/** Rows to prepare ahead whatever their size, enough to keep the readers of pixels busy. */
const MIN_AHEAD = 4;

/**
 * The data actor: reads the data sets and turns rows into prompts, images included.
 *
 * It makes the next batch while one is trained on, so learners wait for data only when that takes longer than a step.
 * Preparing ahead depends on no result: it changes neither the order of prompts nor the cursor.
 */
export class DataActor implements Actor<typeof dataProtocol> {
  readonly #props: DataProps;
  readonly #builder: SampleBuilder;
  readonly #logger: Logger;
  readonly #train: Rows;
  readonly #validation: Rows;
  readonly #notes: DataNotes;
  readonly #ahead: Lookahead<PromptSample>;
  #source: PromptSource | null;
  #pixelBytes = 0;
  #samples = 0;

  private constructor(
    props: DataProps,
    builder: SampleBuilder,
    logger: Logger,
    { train, validation, notes }: DataSets,
  ) {
    this.#props = props;
    this.#builder = builder;
    this.#logger = logger;
    this.#train = train;
    this.#validation = validation;
    this.#notes = notes;
    for (const { skipped } of [train, validation]) skipped.forEach((error) => this.#tell(error));
    this.#ahead = new Lookahead(async (row) => this.#sample(await train.rows.at(row)));
    this.#source = train.rows.length === 0 ? null : this.#sourceAt();
    this.#lookAhead();
  }

  /** @throws DATA_INVALID naming file, line and field */
  static async open(
    props: DataProps,
    { logger, refTo }: Pick<Environment, 'logger' | 'refTo'>,
  ): Promise<DataActor> {
    const readers = props.pixelReaders.map((name) => refTo(name, pixelProtocol));
    const reader = readers.length === 0 ? undefined : pixelPool(readers);
    const notes = new DataNotes(props.maxPromptLength);
    const warn = (note: string): void => {
      notes.add(note);
      logger.warn({ picture: note }, 'picture may not be read as meant');
    };
    const { tools } = props;
    const builder = new SampleBuilder({ ...sampleOptions(props, reader), tools, warn });
    const read = async (files: DataSources | null): Promise<Rows> =>
      files === null ? none() : readRows(files, props, builder, notes);
    const train = await read(props.trainFiles);
    const validation = await read(props.validationFiles);
    await builder.settleBitDepth(joinedRows(train.rows, validation.rows));
    return new DataActor(props, builder, logger, { train, validation, notes });
  }

  summary(): DataSummary {
    return {
      trainPrompts: this.#train.rows.length,
      validationPrompts: this.#validation.rows.length,
      overlong: this.#train.overlong + this.#validation.overlong,
      skipped: this.#skipped,
      notes: this.#notes.taken(),
    };
  }

  async nextPrompts(): Promise<{
    prompts: Prompt[];
    cursor: PromptCursor;
    skipped: number;
    notes: string[];
  }> {
    const { taken: prompts, cursor } = await this.#take((row) =>
      this.#orSkip(this.#train, async () => this.#prompt(await this.#ahead.take(row))),
    );
    return { prompts, cursor, skipped: this.#skipped, notes: this.#notes.taken() };
  }

  async nextSolutions(): Promise<{ samples: Sequence[]; notes: string[] }> {
    const { taken: samples } = await this.#take((row) =>
      this.#orSkip(this.#train, () => this.#solution(this.#ahead.take(row))),
    );
    return { samples, notes: this.#notes.taken() };
  }

  async validation(range: Range): Promise<{ prompts: Prompt[] }> {
    const make = async (row: DatasetRow): Promise<Prompt> => this.#prompt(await this.#sample(row));
    return { prompts: await this.#ofValidation(range, make) };
  }

  async validationSolutions(range: Range): Promise<{ samples: Sequence[] }> {
    const make = (row: DatasetRow): Promise<Sequence> => this.#solution(this.#sample(row));
    return { samples: await this.#ofValidation(range, make) };
  }

  seek(cursor: PromptCursor): void {
    this.#source = this.#sourceAt(cursor);
    this.#lookAhead();
  }

  #sourceAt(cursor?: PromptCursor): PromptSource {
    const { batchSize, shuffle, seed } = this.#props;
    const rowCount = this.#train.rows.length;
    return new PromptSource({ rowCount, batchSize, shuffle, seed }, cursor);
  }

  /** Takes the next batch, each row made by `make`, while the rows after it are begun. */
  async #take<T>(
    make: (row: number) => Promise<T | null>,
  ): Promise<{ taken: T[]; cursor: PromptCursor }> {
    const source = (this.#source ??= this.#sourceAt());
    this.#lookAhead();
    const taken = await source.take(make);
    this.#lookAhead();
    return { taken, cursor: source.cursor };
  }

  /** Begins the rows that come next: a batch of them, or fewer where they have many pixels. */
  #lookAhead(): void {
    const { batchSize } = this.#props;
    const meanBytes = this.#pixelBytes / Math.max(1, this.#samples);
    const fitting = Math.floor(AHEAD_BYTES / Math.max(1, meanBytes));
    const count = Math.min(batchSize, Math.max(MIN_AHEAD, fitting));
    this.#ahead.expect(this.#source?.upcoming(count) ?? []);
  }

  async #sample(row: DatasetRow): Promise<PromptSample> {
    const sample = await this.#builder.build(row);
    if (sample.isCut) this.#notes.cut(sample.id);
    this.#samples++;
    this.#pixelBytes += sample.pixelValues === null ? 0 : patchBytes(sample.pixelValues);
    return sample;
  }

  /** Makes validation rows by `make`, in order, without those that are skipped. */
  async #ofValidation<T>(
    { start, end }: Range,
    make: (row: DatasetRow) => Promise<T>,
  ): Promise<T[]> {
    const { rows } = this.#validation;
    const length = Math.max(0, Math.min(end, rows.length) - start);
    const made = await Promise.all(
      Array.from({ length }, (_, i) =>
        this.#orSkip(this.#validation, async () => make(await rows.at(start + i))),
      ),
    );
    return made.filter((each) => each !== null);
  }

  async #prompt(sample: PromptSample): Promise<Prompt> {
    const { id: promptId, row, text, messages, groundTruth } = sample;
    const context = { text, messages: [...messages], columns: columnsOf(row) };
    const images = this.#props.withImages ? await this.#builder.imageSources(row) : [];
    const { bitDepth } = this.#builder;
    return { promptId, context, groundTruth, input: inputOf(sample), images, bitDepth };
  }

  /** A row's prompt with its reference answer. */
  async #solution(made: Promise<PromptSample>): Promise<Sequence> {
    const sample = await made;
    const input = inputOf(sample);
    const data = this.#builder.encodeAnswer(sample.row);
    return { prompt: input, response: vector('i32', data), media: null };
  }

  async #orSkip<T>(set: Rows, make: () => Promise<T>): Promise<T | null> {
    const { invalidRows, maxInvalidFraction } = this.#props;
    try {
      return await make();
    } catch (thrown) {
      const error = skippable(thrown, invalidRows);
      const row = rowOf(error);
      if (!set.skipped.has(row)) {
        set.skipped.set(row, error);
        this.#tell(error);
        checkSkipped([...set.skipped.values()], set.rowCount, maxInvalidFraction);
      }
      return null;
    }
  }

  get #skipped(): number {
    return this.#train.skipped.size + this.#validation.skipped.size;
  }

  #tell(error: CxmindError): void {
    this.#notes.skipped(error.message);
    this.#logger.warn({ ...error.detail, reason: error.message }, 'row skipped');
  }
}

/** Reads the rows of a set that can be used. Without `check`, prompts are not made, so later ones may still fail. */
async function readRows(
  source: DataSources,
  props: DataProps & RowKeys,
  builder: SampleBuilder,
  notes: DataNotes,
): Promise<Rows> {
  const { invalidRows, maxInvalidFraction, filterOverlongPrompts, maxPromptLength, check } = props;
  const { promptKey, answerKey, imageKey, videoKey, filterConcurrency: concurrency } = props;
  const keys = { promptKey, answerKey, imageKey, videoKey };
  const read = await openDataset({ source, invalidRows, maxInvalidFraction, ...keys });
  const each = { invalidRows, concurrency };
  const fitting = filterOverlongPrompts
    ? await filterOverlong(read.rows, builder, { maxPromptLength, ...each })
    : { rows: read.rows, overlong: 0, skipped: [] };
  const make = (row: DatasetRow): Promise<PromptSample> => builder.build(row);
  const noteCut = ({ isCut, id }: PromptSample): boolean => {
    if (isCut) notes.cut(id);
    return true;
  };
  const checked = check === 'all' ? await eachRow(fitting.rows, make, noteCut, each) : null;
  const skipped = [...read.skipped, ...fitting.skipped, ...(checked?.skipped ?? [])];
  const rowCount = read.rows.length + read.skipped.length;
  checkSkipped(skipped, rowCount, maxInvalidFraction);
  return {
    rows: checked === null ? fitting.rows : selectedRows(fitting.rows, checked.usable),
    overlong: fitting.overlong,
    rowCount,
    skipped: new Map(skipped.map((error) => [rowOf(error), error])),
  };
}

/** Name of the row that an error is about. */
function rowOf({ message, detail }: CxmindError): string {
  const { file, line } = detail as { file?: string; line?: number };
  return line === undefined ? message : `${file}:${line}`;
}

function inputOf({ tokenIds, positions, pixelValues, grids }: PromptSample): Prompt['input'] {
  return {
    tokenIds: vector('i32', tokenIds),
    positions,
    pixelValues,
    grids: grids.map(([t, h, w]) => [t, h, w]),
  };
}

/** Makes the data actor on its thread. */
export const dataActor = actorFactory(dataProtocol, (props: DataProps, environment) =>
  DataActor.open(props, environment),
);
