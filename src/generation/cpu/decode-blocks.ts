import type { BoundProgram, Device, Program, View, Views } from '../../device/device.ts';
import type { Graph } from '../../graph/ir.ts';
import { NO_ADAPTERS, type BlockAdapters } from '../../model/adapters/adapter.ts';
import type { DecodeGraph } from '../../model/architecture.ts';
import { architectureOf } from '../../model/families.ts';
import type { ModelConfig } from '../../model/model-config.ts';
import { distributionGraph } from '../../model/heads.ts';
import type { DecodeForm } from '../../model/decode-form.ts';
import { reshaped } from '../../tensor/tensor.ts';

/** The blocks of a decoding step, weights bound, everything else yet to be. */
export interface BoundBlocks {
  /** One of each layer: up to queries, keys and values. */
  readonly project: readonly BoundProgram[];
  /** One of each layer: from attention on. */
  readonly attend: readonly BoundProgram[];
  readonly distribution: BoundProgram;
}

/** The weights of a decoding step. */
export interface DecodeWeights {
  readonly embedding: View; // [V, D]
  readonly layers: readonly Views[];
  readonly head: Views;
  /** Of each layer; null without any. */
  readonly adapters: readonly BlockAdapters[] | null;
}

/** The blocks of a decoding step in one form, compiled when first asked for. */
export class DecodeBlocks implements Disposable {
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #form: DecodeForm;
  readonly #weights: DecodeWeights;
  readonly #logitBias: View;
  readonly #opened: (Program | BoundProgram)[] = [];
  #bound: BoundBlocks | undefined;

  constructor(
    device: Device,
    config: ModelConfig,
    form: DecodeForm,
    weights: DecodeWeights,
    logitBias: View,
  ) {
    this.#device = device;
    this.#config = config;
    this.#form = form;
    this.#weights = weights;
    this.#logitBias = logitBias;
  }

  open(): BoundBlocks {
    return (this.#bound ??= this.#make());
  }

  #make(): BoundBlocks {
    const { layers, head } = this.#weights;
    const { decoder } = architectureOf(this.#config);
    const distribution = this.#compile(distributionGraph(this.#config.text, this.#form));
    const bindAll = (programs: readonly Program[]): BoundProgram[] =>
      layers.map((weights, layer) => this.#bind(programs[layer]!, weights));
    return {
      project: bindAll(this.#compileLayers(decoder.decodeProject)),
      attend: bindAll(this.#compileLayers(decoder.decodeAttend)),
      distribution: this.#bind(distribution, { ...head, logitBias: this.#logitBias }),
    };
  }

  /** The program of each layer; those whose adapters are alike share one. */
  #compileLayers(graphOf: DecodeGraph): Program[] {
    const programs = new Map<string, Program>();
    return this.#weights.layers.map((_, layer) => {
      const adapters = this.#weights.adapters?.[layer] ?? NO_ADAPTERS;
      const key = adapters.modules.join();
      const program =
        programs.get(key) ?? this.#compile(graphOf(this.#config.text, this.#form, adapters));
      programs.set(key, program);
      return program;
    });
  }

  #compile(graph: Graph): Program {
    const program = this.#device.compile(graph);
    this.#opened.push(program);
    return program;
  }

  /** A run with those weights that the graph takes, vectors as columns where it takes columns. */
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
