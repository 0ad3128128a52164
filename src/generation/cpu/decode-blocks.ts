import type { BoundProgram, Device, Program, View, Views } from '../../device/device.ts';
import type { Graph } from '../../graph/ir.ts';
import { sharedByLayers } from '../../model/adapters/adapter.ts';
import { decoderLayers } from '../../model/decoder-layers.ts';
import { decodeAttendGraph, decodeProjectGraph } from '../../model/decoder/decode.ts';
import type { TextConfig } from '../../model/model-config.ts';
import { distributionGraph } from '../../model/heads.ts';
import type { DecodeForm } from '../../model/decode-form.ts';
import type { ModelWeights } from '../../model/model-weights.ts';
import type { DecoderWeights } from '../decoder-weights.ts';
import { reshaped } from '../../tensor/tensor.ts';

/** The programs of a decoding step with their weights bound; the caller binds the other inputs. */
export interface BoundBlocks {
  /** One for each layer, up to queries, keys and values. */
  readonly project: readonly BoundProgram[];
  /** One for each layer, from attention on. */
  readonly attend: readonly BoundProgram[];
  readonly distribution: BoundProgram;
}

/** The weights of a decoding step, and the adapters of the model. */
export type DecodeWeights = Omit<DecoderWeights, keyof Disposable> & Pick<ModelWeights, 'adapters'>;

/** The programs of a decoding step in one form, compiled at the first use. */
export class DecodeBlocks implements Disposable {
  readonly #device: Device;
  readonly #text: TextConfig;
  readonly #form: DecodeForm;
  readonly #weights: DecodeWeights;
  readonly #logitBias: View;
  readonly #opened: (Program | BoundProgram)[] = [];
  #bound: BoundBlocks | undefined;

  constructor(
    device: Device,
    text: TextConfig,
    form: DecodeForm,
    weights: DecodeWeights,
    logitBias: View,
  ) {
    this.#device = device;
    this.#text = text;
    this.#form = form;
    this.#weights = weights;
    this.#logitBias = logitBias;
  }

  open(): BoundBlocks {
    return (this.#bound ??= this.#make());
  }

  #make(): BoundBlocks {
    const { layers, head } = this.#weights;
    const distribution = this.#compile(distributionGraph(this.#text, 'f32', this.#form));
    const bindAll = (programs: readonly Program[]): BoundProgram[] =>
      layers.map((weights, layer) => this.#bind(programs[layer]!, weights));
    return {
      project: bindAll(this.#compileLayers(decodeProjectGraph)),
      attend: bindAll(this.#compileLayers(decodeAttendGraph)),
      distribution: this.#bind(distribution, { ...head, logitBias: this.#logitBias }),
    };
  }

  /** The program of each layer. */
  #compileLayers(graphOf: typeof decodeProjectGraph): Program[] {
    const { adapters } = this.#weights;
    return sharedByLayers(decoderLayers(this.#text), adapters, (text, own) =>
      this.#compile(graphOf(text, this.#form, own)),
    );
  }

  #compile(graph: Graph): Program {
    const program = this.#device.compile(graph);
    this.#opened.push(program);
    return program;
  }

  /** Binds the weights that the graph takes; vectors become columns where it takes columns. */
  #bind(program: Program, weights: Views): BoundProgram {
    const bound = program.bind();
    this.#opened.push(bound);
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
    for (const opened of this.#opened.reverse()) opened[Symbol.dispose]();
  }
}
