import type { BoundProgram, Program, Views } from '../../device/device.ts';
import type { Graph } from '../../graph/ir.ts';
import { sharedByLayers } from '../../model/adapters/adapter.ts';
import { decoderLayers } from '../../model/decoder-layers.ts';
import { decodeAttendGraph, decodeProjectGraph } from '../../model/decoder/decode.ts';
import { distributionGraph } from '../../model/heads.ts';
import type { DecodeForm } from '../../model/decode-form.ts';
import { reshaped } from '../../tensor/tensor.ts';
import type { SampledDecoderOptions } from '../step-decoder.ts';

/** The programs of a decoding step with their weights bound; the caller binds the other inputs. */
export interface BoundBlocks {
  /** One for each layer, up to queries, keys and values. */
  readonly project: readonly BoundProgram[];
  /** One for each layer, from attention on. */
  readonly attend: readonly BoundProgram[];
  readonly distribution: BoundProgram;
}

/** The model of the blocks, on the CPU. */
type BlockOptions = Pick<
  SampledDecoderOptions,
  'device' | 'config' | 'weights' | 'taken' | 'logitBias'
>;

/** The programs of a decoding step in one form, compiled at the first use. */
export class DecodeBlocks implements Disposable {
  readonly #options: BlockOptions;
  readonly #form: DecodeForm;
  readonly #owned = new DisposableStack();
  #bound: BoundBlocks | undefined;

  constructor(options: BlockOptions, form: DecodeForm) {
    this.#options = options;
    this.#form = form;
  }

  open(): BoundBlocks {
    return (this.#bound ??= this.#make());
  }

  #make(): BoundBlocks {
    const { config, taken, logitBias } = this.#options;
    const distribution = this.#compile(distributionGraph(config.text, 'f32', this.#form));
    const bindAll = (programs: readonly Program[]): BoundProgram[] =>
      taken.layers.map((weights, layer) => this.#bind(programs[layer]!, weights));
    return {
      project: bindAll(this.#compileLayers(decodeProjectGraph)),
      attend: bindAll(this.#compileLayers(decodeAttendGraph)),
      distribution: this.#bind(distribution, { ...taken.head, logitBias }),
    };
  }

  /** The program of each layer. */
  #compileLayers(graphOf: typeof decodeProjectGraph): Program[] {
    const { config, weights } = this.#options;
    return sharedByLayers(decoderLayers(config.text), weights.adapters, (text, own) =>
      this.#compile(graphOf(text, this.#form, own)),
    );
  }

  #compile(graph: Graph): Program {
    return this.#owned.use(this.#options.device.compile(graph));
  }

  /** Binds the weights that the graph takes; vectors become columns where it takes columns. */
  #bind(program: Program, weights: Views): BoundProgram {
    const bound = this.#owned.use(program.bind());
    for (const { name, shape } of program.graph.inputs) {
      const weight = weights[name];
      if (weight === undefined) continue;
      const isColumn = shape.length > weight.shape.length;
      const view = isColumn ? reshaped(weight, [...weight.shape, 1]) : weight;
      bound.input(name, view);
    }
    return bound;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
