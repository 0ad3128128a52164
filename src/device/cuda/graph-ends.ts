import { CxmindError } from '../../errors.ts';
import type { Graph } from '../../graph/ir.ts';
import { checkFits, type IoInfo } from '../../ort/io-info.ts';
import type { View } from '../device.ts';

/** The inputs or the outputs of a graph, to which views are bound. A mixture's layer has some eight hundred. */
export class GraphEnds {
  readonly #graph: string;
  readonly #side: 'input' | 'output';
  readonly #byName: ReadonlyMap<string, IoInfo>;

  constructor(graph: Graph, side: 'input' | 'output') {
    const ends = side === 'input' ? graph.inputs : graph.outputs;
    this.#graph = graph.name;
    this.#side = side;
    this.#byName = new Map(
      ends.map((end) => {
        const { dtype, shape } = 'value' in end ? end.value : end;
        return [end.name, { name: end.name, dtype, shape }];
      }),
    );
  }

  /**
   * Checks a view that is to be bound.
   *
   * @throws GRAPH_INVALID for an unknown name; DTYPE_MISMATCH, SHAPE_MISMATCH when it does not fit
   */
  check(name: string, view: View): void {
    const end = this.#byName.get(name);
    if (end === undefined) {
      const known = [...this.#byName.keys()].join(', ');
      const what = `${this.#graph}: no ${this.#side} ${name}; it has ${known}`;
      throw new CxmindError('GRAPH_INVALID', what);
    }
    checkFits(end, view, this.#graph);
  }
}
